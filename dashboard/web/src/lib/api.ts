// The only door to the server: every request of the page goes through here, and every failure comes back as a Failure.
import type { ApiError, Session } from "./types";

/** A request that did not succeed, in words a person can use. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint?: string,
    readonly span?: [number, number],
  ) {
    super(message);
    this.name = "Failure";
  }
}

/** True for a request that was given up on purpose; nobody needs to hear of it. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure(0, error instanceof Error ? error.message : String(error));
}

let csrf = "";
let onSignedOut: () => void = () => {};

/** Remembers the token that unsafe requests must carry. */
export function useSession(session: Session): Session {
  csrf = session.csrf;
  return session;
}

/** Called when the server says that the session is over. */
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback;
}

export async function request<T>(
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (method !== "GET") headers["x-csrf-token"] = csrf;
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      credentials: "same-origin",
      signal: signal ?? null,
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Failure(0, "Logmill can't be reached", "Is it still running? The page tries again when you do.");
  }
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  if (response.ok) return (text === "" ? undefined : JSON.parse(text)) as T;
  if (response.status === 401 && !path.startsWith("/api/login") && !path.startsWith("/api/session")) onSignedOut();
  throw failureOf(response.status, text);
}

function failureOf(status: number, text: string): Failure {
  try {
    const { error } = JSON.parse(text) as ApiError;
    return new Failure(status, error.message, error.hint, error.span);
  } catch {
    return new Failure(status, text.slice(0, 300) || `the server answered ${status}`);
  }
}

export const get = <T>(path: string, signal?: AbortSignal) => request<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body: unknown, signal?: AbortSignal) => request<T>("POST", path, body, signal);
export const put = <T>(path: string, body: unknown) => request<T>("PUT", path, body);
export const del = (path: string) => request<void>("DELETE", path);
