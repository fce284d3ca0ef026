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
// The sources are headings of the page's contents, too.
const sources = document.createElement('ul');
sources.className = 'pst-show_toc_level nav section-nav flex-column';
for (const head of document.querySelectorAll('.claims section > h3')) {
  const link = document.createElement('a');
  [link.href, link.className, link.textContent] = [`#${head.id}`, 'reference internal nav-link', head.textContent];
  const entry = document.createElement('li');
  entry.className = 'toc-h3 nav-item toc-entry';
  entry.append(link);
  sources.append(entry);
}
addEventListener('DOMContentLoaded', () => {  // only then are the contents there, of a phone's page too
  for (const link of document.querySelectorAll('.toc-entry > a[href="#the-list"]'))
    link.parentNode.append(sources.cloneNode(true));
});
const open = () => {
  const entry = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (entry?.matches('details.claim')) { entry.open = true; entry.scrollIntoView(); }
};
addEventListener('hashchange', open);
open();
