// A hub with ACCESS=token whose identity provider is a real Keycloak, and what a client asks of it.
import { encodeForm } from "../support/form.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { call, type Reply } from "../support/servers/http.ts";

export type Settings = Readonly<Record<string, string>>;

/** Opens a hub that takes tokens of this issuer; null if it only introspects. */
export function openKeycloakHub(issuer: string | null, settings: Settings): Promise<OwnHub> {
  return openOwnHub({
    settings: {
      TIDINGS_ACCESS: "token",
      ...(issuer === null ? {} : { TIDINGS_ISSUER: issuer }),
      TIDINGS_OUTBOUND_ALLOW: "127.0.0.0/8",
      ...settings,
    },
  });
}

/** Sends a form with a token. */
export function send(hub: OwnHub, token: string, form: Readonly<Record<string, string>>): Promise<Reply> {
  return call(hub.url, {
    method: "POST",
    body: encodeForm(form),
    headers: { authorization: `Bearer ${token}`, "content-type": "application/x-www-form-urlencoded" },
  });
}

export function register(hub: OwnHub, token: string, topic: string): Promise<Reply> {
  return send(hub, token, { "hub.mode": "register", "hub.topic": topic });
}

export function subscribe(hub: OwnHub, token: string, topic: string, callback: string): Promise<Reply> {
  return send(hub, token, {
    "hub.mode": "subscribe",
    "hub.topic": topic,
    "hub.callback": callback,
    "hub.secret": "a secret of the test",
  });
}

/** Publishes text. */
export function publish(hub: OwnHub, token: string, topic: string, body: string): Promise<Reply> {
  return call(`${hub.url}?${encodeForm({ "hub.mode": "publish", "hub.topic": topic })}`, {
    method: "POST",
    body,
    headers: { authorization: `Bearer ${token}`, "content-type": "text/plain" },
  });
}
