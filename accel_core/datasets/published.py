"""The publications that the data sets come from: address, licence, citation, checksums.

Checksums (in checksums.txt) are of contents: of a text before it is gzipped, of a member before it
is zipped. "sha256:" is the plain one; "git:" a git blob id, SHA-1 of "blob SIZE\\0" + content.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files


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

#: File name to the checksum of its published content: "sha256:..." or "git:...".
CHECKSUMS = dict(
    line.split()
    for line in files("accel_core.datasets").joinpath("checksums.txt").read_text().splitlines()
    if not line.startswith("#")
)


def matches(content: bytes, checksum: str) -> bool:
    """Whether `content` has the `checksum`, "sha256:..." or "git:..."."""
    kind, _, digest = checksum.partition(":")
    if kind == "git":
        blob = b"blob %d\0" % len(content) + content
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == digest
    return hashlib.sha256(content).hexdigest() == digest
