// What the lab says: its topology once, then a tick a second.
const listeners = { tick: [], event: [], state: [] };

export function on(kind, f) { listeners[kind].push(f); }

function tell(kind, value) { for (const f of listeners[kind]) f(value); }

export async function get(path) {
  const response = await fetch(path);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error || response.statusText);
  return body;
}

// The token comes with the address that "cdnlab dashboard" prints, or from the person who is asked for it.
let token = sessionStorage.getItem("token") || "";
const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.has("token")) {
  token = fragment.get("token");
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname + "#map");
}

function askForToken() {
  const dialog = document.getElementById("token-dialog");
  const input = document.getElementById("token-input");
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener("close", () => {
    token = dialog.returnValue === "ok" ? input.value.trim() : "";
    input.value = "";
    if (token) sessionStorage.setItem("token", token);
    resolve(token);
  }, { once: true }));
}

// change makes a call that changes something. It returns the answer, nothing when the call did not succeed.
export async function change(method, path, body) {
  if (!token && !await askForToken()) return;
  const response = await fetch(path, { method, headers: { Authorization: "Bearer " + token }, body: body && JSON.stringify(body) });
  if (response.status === 401) { token = ""; sessionStorage.removeItem("token"); }
  const text = await response.text();
  const answer = text ? JSON.parse(text) : {};
  if (response.ok) return answer;
  notice(answer.error);
}

let hideNotice;
export function notice(text) {
  const element = document.getElementById("notice");
  element.textContent = text;
  element.hidden = false;
  clearTimeout(hideNotice);
  hideNotice = setTimeout(() => { element.hidden = true; }, 7000);
}

export function start() {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("open", () => tell("state", "live"));
  source.addEventListener("error", () => tell("state", "lost"));
  source.addEventListener("tick", e => tell("tick", JSON.parse(e.data)));
  source.addEventListener("event", e => tell("event", JSON.parse(e.data)));
}
