// The form for an address, shown while nobody is there who could answer.
const at = (id) => document.getElementById(id);
const form = at("address");
let texts, leave, lastId = "";

export function prepareForm(words, submit) {
  texts = words;
  leave = submit;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
}

export function showForm(shown, customer) {
  if (form.hidden === !shown) return;
  form.hidden = !shown;
  if (shown && customer) {
    at("address-name").value ||= customer.name || "";
    at("address-email").value ||= customer.email || "";
  }
}

export const isFormShown = () => !form.hidden;
export const focusForm = () => at("address-name").focus();

function send() {
  const values = Object.fromEntries(["name", "email", "phone", "text"].map((name) => [name, at(`address-${name}`).value.trim()]));
  clearFaults();
  // the desk checks again; it says what is wrong with an address
  if (!values.email && !values.phone) return showFault("email", texts.one_of);
  if (values.email && !/^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/.test(values.email)) return showFault("email", texts.wrong_email);
  if (values.phone && (values.phone.match(/\p{Nd}/gu) || []).length < 5) return showFault("phone", texts.wrong_phone);
  lastId = leave(values);
}

function clearFaults() {
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
  at("address-fault").textContent = "";
}

function showFault(name, words) {
  const input = at(`address-${name}`);
  at("address-fault").textContent = words;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", "address-fault");
  input.focus();
}

// what the desk has found wrong; true if it was about this form
export function isFault(frame) {
  if (!frame.field || form.hidden) return false;
  showFault(frame.field, frame.text);
  return true;
}

// the address of the message that was taken, to be told; empty: it was another message
export function takenAddress(id) {
  if (!id || id !== lastId) return "";
  lastId = "";
  const address = at("address-email").value.trim() || at("address-phone").value.trim();
  form.reset();
  form.hidden = true;
  return address;
}
