// Turns the HTML of an answer into elements. The desk renders it from Markdown and lets no HTML through; here only
// known elements and attributes are made of it all the same, in a document that runs nothing.

const ELEMENTS = new Set((
  "P BR STRONG EM S CODE PRE A UL OL LI TABLE THEAD TBODY TR TH TD BLOCKQUOTE HR H1 H2 H3 H4 H5 H6"
).split(" "));
const ADDRESS = /^(https?:|mailto:|tel:)/i;
const COMMAND = /(^|\s)(\/[A-Za-z_]{2,20})(?![\w/])/;
const policy = window.trustedTypes
  ? window.trustedTypes.createPolicy("qwendesk", { createHTML: (html) => html })
  : { createHTML: (html) => html };

export function elementsOf(html) {
  const inert = new DOMParser().parseFromString(policy.createHTML(html), "text/html");
  return children(inert.body);
}

// words of a person: commands stay readable from left to right
export function textNodes(words) {
  const found = [];
  let rest = words, match;
  while ((match = COMMAND.exec(rest))) {
    const command = document.createElement("bdi");
    command.dir = "ltr";
    command.textContent = match[2];
    found.push(rest.slice(0, match.index + match[1].length), command);
    rest = rest.slice(match.index + match[0].length);
  }
  found.push(rest);
  return found.filter((one) => one !== "");
}

function children(parent) {
  return [...parent.childNodes].flatMap((node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.parentElement.closest("code, pre") ? [node.data] : textNodes(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE) return [];
    if (!ELEMENTS.has(node.nodeName)) return [node.getAttribute("alt") || node.textContent || ""];
    return [copyOf(node)];
  });
}

function copyOf(node) {
  const made = document.createElement(node.nodeName);
  const name = node.nodeName;
  if (name === "A") {
    const address = node.getAttribute("href") || "";
    if (ADDRESS.test(address)) made.href = address;
    made.target = "_blank";
    made.rel = "noopener noreferrer";
    if (node.textContent.replace(/^mailto:/, "") === address.replace(/^mailto:/, "")) made.dir = "ltr";
  }
  if (name === "OL" && node.hasAttribute("start")) made.start = node.start;
  if (name === "LI" && node.hasAttribute("value")) made.value = node.value;
  if (/^T[HD]$/.test(name) && /^align-(left|right|center)$/.test(node.className)) made.className = node.className;
  if (/^(P|LI|H\d|BLOCKQUOTE|T[HD])$/.test(name)) made.dir = "auto";
  if (/^(PRE|CODE)$/.test(name)) {
    made.dir = "ltr";
    made.translate = false;
  }
  made.append(...children(node));
  return made;
}

// keeps the blocks that are as they were, so that a selection in them stays while the answer grows
export function update(parent, nodes) {
  const wanted = nodes.map((node) => (typeof node === "string" ? document.createTextNode(node) : node));
  const present = [...parent.childNodes];
  let same = 0;
  while (same < present.length && same < wanted.length && present[same].isEqualNode(wanted[same])) same += 1;
  present.slice(same).forEach((node) => node.remove());
  parent.append(...wanted.slice(same));
}
