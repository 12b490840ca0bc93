"use strict";
// Without this script the page shows everything; with it pairs can be filtered and sorted.
{
  const form = document.getElementById("filters");
  const gallery = document.getElementById("gallery");
  if (form && gallery) {
    const cards = [...gallery.children].map((card) => ({
      card,
      rules: new Set(JSON.parse(card.dataset.rule)),
      words: card.textContent.toLowerCase(),
    }));
    const wanted = (name) => form.elements[name].value;
    const show = () => {
      const words = wanted("words").toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const { card, rules, words: text } of cards) {
        const right =
          ["verdict", "source", "interaction"].every((name) => !wanted(name) || card.dataset[name] === wanted(name)) &&
          (!wanted("rule") || rules.has(wanted("rule"))) &&
          words.every((word) => text.includes(word));
        card.hidden = !right;
        count += right;
      }
      const key = wanted("sort");
      const size = ({ card }) => (key in card.dataset ? Number(card.dataset[key]) : -Infinity);
      const place = ({ card }) => Number(card.dataset.place);
      const order = [...cards].sort((a, b) => (key && size(b) - size(a)) || place(a) - place(b));
      gallery.append(...order.map(({ card }) => card));
      document.getElementById("shown").value = `${count} of ${cards.length} shown`;
    };
    form.hidden = false;
    form.addEventListener("input", show);
    form.addEventListener("reset", () => setTimeout(show));
    form.addEventListener("submit", (event) => event.preventDefault());
    // a name in a list above is a filter of the gallery
    for (const link of document.querySelectorAll("a[data-set]")) {
      link.addEventListener("click", () => {
        form.reset();
        const field = form.elements[link.dataset.set];
        if ([...field.options].some((option) => option.value === link.dataset.value)) field.value = link.dataset.value;
        setTimeout(show);
      });
    }
    show();
  }
}
