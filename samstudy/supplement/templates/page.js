"use strict";
const narrow = window.matchMedia("(max-width: 60rem)");
const contents = document.getElementById("contents");
const fit = () => { contents.open = !narrow.matches; };
fit();
narrow.addEventListener("change", fit);
contents.addEventListener("click", (event) => {
  if (narrow.matches && event.target.closest("a")) contents.open = false;
});
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target && (target.closest("details") || target.querySelector(":scope > details"));
  if (folded && folded !== contents) { folded.open = true; target.scrollIntoView(); }
};
window.addEventListener("hashchange", reveal);
reveal();
for (const button of document.querySelectorAll("button[data-fold]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const all = [...document.querySelectorAll(`details.${button.dataset.fold}`)];
    const open = all.some((one) => !one.open);
    for (const one of all) one.open = open;
  });
}
