// Where the page was opened: which service, which session, with what credential.

const API_KEY = "omnisift-api-key"; // where the door of the service leaves it, too
const TOKEN_PREFIX = "ost_"; // of a session's token, which opens no other session

/**
 * Read the page's address, once: a token leaves the address bar.
 * @returns {{base: string, isForeign: boolean, sessionId: string, key: KeyStore}}
 */
export function readEntry() {
  const own = new URL(".", document.baseURI);
  const parameters = new URLSearchParams(location.search);
  const api = parameters.get("api");
  const base = api ? serviceUrl(api) : own;
  const sessionId = parameters.get("session") ?? "";
  const key = new KeyStore(base.origin === own.origin ? API_KEY : `${API_KEY}@${base.origin}`);
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    key.set(token);
    history.replaceState(null, "", location.pathname + location.search);
  } else if (!sessionId && key.isToken) {
    key.set("");
  }
  return { base: base.href, isForeign: base.origin !== own.origin, sessionId, key };
}

/**
 * Let the page talk to its service and to nothing else. The service may be anywhere, so the policy
 * in index.html cannot name it; policies add up to the strictest.
 */
export function confineTo(base) {
  const policy = document.createElement("meta");
  policy.httpEquiv = "Content-Security-Policy";
  policy.content = `connect-src ${new URL(base).origin}`;
  document.head.append(policy);
}

/** The link that lets others watch and ask. The token is in the fragment, which is never sent. */
export function viewerLink(base, isForeign, sessionId, token) {
  const link = new URL(location.pathname, location.href);
  if (isForeign) link.searchParams.set("api", base);
  link.searchParams.set("session", sessionId);
  if (token) link.hash = new URLSearchParams({ token }).toString();
  return link.href;
}

/** An API key or a token, kept until the tab closes, each service's apart. */
export class KeyStore {
  #name;

  constructor(name) {
    this.#name = name;
  }

  get() {
    return sessionStorage.getItem(this.#name) ?? "";
  }

  set(key) {
    if (key) sessionStorage.setItem(this.#name, key);
    else sessionStorage.removeItem(this.#name);
  }

  get isToken() {
    return this.get().startsWith(TOKEN_PREFIX);
  }
}

function serviceUrl(text) {
  const url = new URL(/^https?:\/\//.test(text) ? text : `https://${text}`);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return new URL(url.origin + url.pathname);
}
