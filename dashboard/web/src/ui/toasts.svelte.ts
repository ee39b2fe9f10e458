// Short notices at the edge of the page.

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  say(text: string, bad = false): void {
    const id = this.#next++;
    // More than three at once nobody reads.
    this.list = [...this.list.slice(-2), { id, text, bad }];
    // Long enough to read a sentence; errors stay longer.
    setTimeout(() => this.drop(id), bad ? 8000 : 3500);
  }

  drop(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();

export async function copyText(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toasts.say(`${what} copied`);
  } catch {
    toasts.say("The browser did not allow copying", true);
  }
}
