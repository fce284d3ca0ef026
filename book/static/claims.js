// The list of claims: its filters, and opening the entry that an address names.
for (const box of document.querySelectorAll('.claims')) {
  const all = [...box.querySelectorAll('details.claim')];
  const selects = [...box.querySelectorAll('select')];
  const show = () => {
    let shown = 0;
    for (const entry of all) {
      entry.hidden = selects.some(s => s.value && entry.dataset[s.name] !== s.value);
      shown += !entry.hidden;
    }
    for (const part of box.querySelectorAll('section'))
      part.hidden = !part.querySelector('details.claim:not([hidden])');
    box.querySelector('output').textContent = `${shown} of ${all.length} shown`;
  };
  selects.forEach(s => s.addEventListener('change', show));
  box.querySelector('form').hidden = false;
  show();
}
const open = () => {
  const entry = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (entry?.matches('details.claim')) { entry.open = true; entry.scrollIntoView(); }
};
addEventListener('hashchange', open);
open();
