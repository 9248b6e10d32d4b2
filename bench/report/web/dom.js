// What the page is made of. DATA is what the report computed; nothing is computed anew here, only shown.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** An HTML element. */
function made(tag, attributes = {}, ...inner) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inner);
  return element;
}

/** An SVG element. */
function drawn(tag, attributes = {}, ...inner) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inner);
  return element;
}

const voice = made("p", { class: "voice", role: "status" });
let silence = 0;

/** Show a few words for a moment, and have them read out. */
function say(words) {
  voice.textContent = words;
  clearTimeout(silence);
  silence = setTimeout(() => (voice.textContent = ""), 2500);
}
