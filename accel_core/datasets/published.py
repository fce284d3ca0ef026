"""The publications that the data sets come from: address, licence, citation, checksums.

Checksums are of contents: of a text before it is gzipped, of a member before it is zipped.
"sha256:" is the plain one; "git:" is a git blob id, SHA-1 of "blob SIZE\\0" + content.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["BATCHES", "CHECKSUMS", "ETHANOL_ZIP", "PUBLICATIONS", "Publication", "matches"]


@dataclass(frozen=True)
class Publication:
    """One publication: `page` describes it; below each of `mirrors` its files can be had."""

    title: str
    page: str
    mirrors: tuple[str, ...]
    licence: str
    citation: str


#: Where each data set is published, under which licence, and how to cite it.
PUBLICATIONS = {
    "gas_sensor": Publication(
        "Gas Sensor Array Drift at Different Concentrations (UCI 270)",
        "https://archive.ics.uci.edu/dataset/270",
        ("https://archive.ics.uci.edu/static/public/270/",),
        "CC BY 4.0",
        "Vergara (2012), doi:10.24432/C5MK6M; Vergara et al., Sensors and Actuators B 166-167 "
        "(2012) 320-329; Rodriguez-Lujan et al., Chemometrics and Intelligent Laboratory Systems "
        "130 (2014) 123-134",
    ),
    "abalone": Publication(
        "Abalone (UCI 1)",
        "https://archive.ics.uci.edu/dataset/1",
        ("https://archive.ics.uci.edu/static/public/1/",),
        "CC BY 4.0",
        "Nash, Sellers, Talbot, Cawthorn, Ford (1994), doi:10.24432/C55C7W",
    ),
    "mnist": Publication(
        "MNIST handwritten digits",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        "public domain",
        "LeCun, Bottou, Bengio, Haffner, Proceedings of the IEEE 86 (1998) 2278-2324",
    ),
    "uci_regression": Publication(
        "UCI regression tables as the Gaussian-process benchmarks distribute them",
        "https://github.com/treforevans/uci_datasets",
        (
            "https://raw.githubusercontent.com/treforevans/uci_datasets/"
            "f0737523712fe66a1640e4b980b927e8490b58eb/uci_datasets/",
        ),
        "CC BY 4.0",
        "Kelly, Longjohn, Nottingham, The UCI Machine Learning Repository",
    ),
}

#: The archive in which the ethanol data are published.
ETHANOL_ZIP = "gas_sensor/gas+sensor+array+drift+dataset+at+different+concentrations.zip"
#: The ten files of the ethanol data, in their order.
BATCHES = tuple(f"gas_sensor/batch{i}.dat" for i in range(1, 11))

# fmt: off
#: File name to the sha256 of its published content.
CHECKSUMS = {
    "gas_sensor/batch1.dat":
        "sha256:6b62f3e71b90f95dd9c2157fa91ffce32571faa7f474dd52f29a4ae769144625",
    "gas_sensor/batch2.dat":
        "sha256:4ea9490068457badf9efd0c22f359fbfce12c208cdd440526b97ac91d31b9002",
    "gas_sensor/batch3.dat":
        "sha256:aabf06bf8b8200740156235dc59458e06d99aa8faba4d6764a22c6b6c2674ff4",
    "gas_sensor/batch4.dat":
        "sha256:ffc87c5146001bbe8ce90c4b2f7dad5b390ca3079f51b559032df53ffe5ff0af",
    "gas_sensor/batch5.dat":
        "sha256:dcad4939c300a6c7d9f41b9470a9253eecc0ebc5c2c4e940d8ae20b8fc4240d0",
    "gas_sensor/batch6.dat":
        "sha256:297d3a8b594dee4e2f4d7d2c4f5c485939fa708c10b5a11ed5cce95e05049afb",
    "gas_sensor/batch7.dat": "git:ce44587436e9edee7ac88593e70f6fb8a66ad9d4",
    "gas_sensor/batch8.dat":
        "sha256:58146b3e2dd68b125b2d5432cdd4968ec1fff47464ceb04282382181932d49be",
    "gas_sensor/batch9.dat":
        "sha256:51f368ae8dee5d285be7f2029770e10eb12f342578830bc40ea852db19d19c9b",
    "gas_sensor/batch10.dat": "git:500b7e02d513322e9a42f33ddc18b283ad75db42",
    "gas_sensor/ethanol.csv":
        "sha256:c32e8c3689bb5e9ea2d0a84b5d1501f4e0fa1668dc97fbb3fd87f53b322b34e0",
    "abalone/abalone.data":
        "sha256:de37cdcdcaaa50c309d514f248f7c2302a5f1f88c168905eba23fe2fbc78449f",
    "mnist/train-images-idx3-ubyte":
        "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "mnist/train-labels-idx1-ubyte":
        "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "mnist/t10k-images-idx3-ubyte":
        "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "mnist/t10k-labels-idx1-ubyte":
        "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "uci_regression/airfoil.csv":
        "sha256:2862a364c396273028e7d421ae3cbf619ed0fe23d9a9cb2716e7a84ef81b4067",
    "uci_regression/autompg.csv":
        "sha256:366fcd4d0defea716b4d0ba64ddc53b3c7f9162945e2260bbea3c46ecc8d9bff",
    "uci_regression/bike.csv":
        "sha256:7f5ea8a57009452a944e2c127a063a3494487f516bafe139f85aa623e26648e3",
    "uci_regression/concrete.csv":
        "sha256:f7210967a49a2adbf6d19ac3dd853f820941ff37351562cd1a48e8521af3d80b",
    "uci_regression/elevators.csv":
        "sha256:f9c478c8660cc92453acbf652310740975afed544ca8c0e81145cec18dbc3ea9",
    "uci_regression/energy.csv":
        "sha256:2f7b51540e7300945f03a8fdcc2683ec941b21b1952bc08e8f9b37ebe833c6db",
    "uci_regression/kin40k.csv":
        "sha256:72ad383c3281a7c85ac49cde9b9682d3e0181e24b1b8a6fe33fd9b993b7db16e",
    "uci_regression/machine.csv":
        "sha256:9b8a1ff9269f024fa7d04b8d2ca04507152d49da3b8a0d33e718b2fdbaad2e3d",
    "uci_regression/parkinsons.csv":
        "sha256:514813c9ae91ea070cb6eafcac612db990ea26cf631eb29e9457fbdd4a75f4bd",
    "uci_regression/pol.csv":
        "sha256:1f4370e9c9448dc537601710d8744d3ea8f5532b93512288c27abb50120f367c",
    "uci_regression/protein.csv":
        "sha256:6ccb1a6bf7e7ba40febe2b8226779cb62e4ca2fa4d193bdec8538c6b5f991ec5",
    "uci_regression/pumadyn32nm.csv":
        "sha256:bd823e5e87867b4152f62bf8a64b896a272645e319e8373354e15501a5654641",
    "uci_regression/skillcraft.csv":
        "sha256:a32ce28e909aa6977b902bf5688b7c9c44a731d90ef800aa8aa72349b71e5786",
    "uci_regression/sml.csv":
        "sha256:99779d3b2243216cf4f9c57d879b778fd2fad3c79b942f6841a266bc5d2692e3",
    "uci_regression/solar.csv":
        "sha256:2257aa48f6fdb8266b8d7f1b70b7bf38860873f5acd38ac63be5f7fb0f01543d",
    "uci_regression/stock.csv":
        "sha256:04c991f98ba1dea7f82bf69214e8d305d6e83fb0bffb79bd25db08b212231450",
    "uci_regression/tamielectric.csv":
        "sha256:0681055d07b7e56e6d5876e589e8772fc1e20492a7c2c880add7dcd5cc9c27d7",
    "uci_regression/wine.csv":
        "sha256:573b29b56f82ee37960b87e0125cdc4da684611eb98536f8228ba12ed16fddf4",
    "uci_regression/yacht.csv":
        "sha256:dc2871f60f28086c6b12738fc053647f13b29d770013baaf6d3f5806e219b3cb",
}
# fmt: on


def matches(content: bytes, checksum: str) -> bool:
    """Whether `content` has the `checksum`, "sha256:..." or "git:..."."""
    kind, _, digest = checksum.partition(":")
    if kind == "git":
        blob = b"blob %d\0" % len(content) + content
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == digest
    return hashlib.sha256(content).hexdigest() == digest
