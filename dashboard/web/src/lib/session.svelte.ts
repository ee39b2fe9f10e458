// Who is signed in.
import { get, post, useSession, whenSignedOut } from "./api";
import { router } from "./router.svelte";
import type { Session } from "./types";

class SessionState {
  now = $state<Session | null>(null);

  constructor() {
    whenSignedOut(() => void this.load());
  }

  async load(): Promise<void> {
    this.now = useSession(await get<Session>("/api/session"));
  }

  async login(name: string, password: string): Promise<void> {
    this.now = useSession(await post<Session>("/api/login", { name, password }));
  }

  async setup(token: string, name: string, password: string): Promise<void> {
    this.now = useSession(await post<Session>("/api/setup", { token, name, password }));
  }

  async logout(): Promise<void> {
    this.now = useSession(await post<Session>("/api/logout", {}));
    router.go("/login");
  }

  get mayEdit(): boolean {
    return this.now?.user != null && this.now.user.role !== "viewer";
  }
}

export const session = new SessionState();
