// A path in all the ways in which someone may write it in a request line, so that one part of a server reads it in another way than
// another part does.

import { ROUTES } from "../../edge/routes.ts";

/** Request targets that may mean this path to some reader. `host` is that of absolute targets. */
export function spellingsOf(path: string, host: string): readonly string[] {
  const encoded = path.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`);
  const absolute = ["http", "https", "HTTP", "ftp"].map((scheme) => `${scheme}://${host}${path}`);
  const authorities = [
    "",
    "@",
    "/",
    "?",
    "#",
    "\\",
    `u@${host}`,
    `u:p@${host}`,
    `@${host}`,
    `${host}:`,
    `${host}:99999`,
  ];
  const more = [`${host}?`, `${host}#`, `${host}\\`, `${host}\\@x`, `[::1]`, `[`, `x${host}`, "%"];
  return [
    path,
    `${path}/`,
    `${path}//`,
    `/${path}`,
    `//${path}`,
    `/.${path}`,
    `/x/..${path}`,
    `/%2e${path}`,
    `/%2E%2e${path}`,
    `${path}/.`,
    `${path}/x/..`,
    `${path}?`,
    `${path}?x=1`,
    `${path}/?x=1`,
    `${path}?/x/..`,
    `${path}#x`,
    `${path}?x#y`,
    `${path};x=1`,
    `${path}%`,
    `${path}%00`,
    `${path}%20`,
    `${path}%2F`,
    `${path}%3Fx`,
    `${path}%23x`,
    `${path}%E4`,
    `${path}%C3%A4`,
    encoded,
    path.toUpperCase(),
    path.replaceAll("/", "%2F"),
    path.replaceAll("/", "%252F"),
    path.replaceAll("/", "\\"),
    `/${path.replaceAll("/", "\\")}`,
    path.slice(1),
    `*${path}`,
    `http:${path}`,
    `http:/${path}`,
    `http:\\\\${host}${path}`,
    `//${host}${path}`,
    ...absolute,
    ...[...authorities, ...more].map((authority) => `http://${authority}${path}`),
  ];
}

/** Every path that the edge answers or once answered, and some that it never did. */
export const PATHS: readonly string[] = [
  ...new Set([...ROUTES.map(({ path }) => path), "/metrics", "/hub/metrics", "/console", "/nothing"]),
];
/** Targets that are no path at all. */
export const NO_PATHS: readonly string[] = ["*", "x:80", "hub", "http://", "http:", "?", "#"];
