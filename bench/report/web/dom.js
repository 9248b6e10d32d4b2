// Building blocks of the page. DATA holds the numbers of the report; the scripts only show them, and compute no others.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** An HTML element with attributes and children. */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element with attributes and children. */
function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const notice = element("p", { class: "notice", role: "status" });
let noticeTimer = 0;

/** Show a few words for a moment. Screen readers read them out. */
function announce(words) {
  notice.textContent = words;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (notice.textContent = ""), 2500);
}
