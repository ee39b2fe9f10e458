// Where the page is. The address bar holds all of the state that a shared link must carry.

class Router {
  path = $state(location.pathname);
  search = $state(location.search);
  /** Grows when the user goes back or forward, so that pages read the address again. */
  popped = $state(0);

  constructor() {
    addEventListener("popstate", () => {
      this.#read();
      this.popped += 1;
    });
  }

  go(url: string, how: "push" | "replace" = "push"): void {
    if (url === location.pathname + location.search) return;
    if (how === "push") history.pushState(null, "", url);
    else history.replaceState(null, "", url);
    this.#read();
  }

  #read(): void {
    this.path = location.pathname;
    this.search = location.search;
  }
}

export const router = new Router();

/** A click on a link that stays inside the page; anything with a modifier is left to the browser. */
export function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest("a");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  event.preventDefault();
  router.go(link.pathname + link.search);
}
