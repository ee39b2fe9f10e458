// What the user chose for this browser: theme, time zone, density. Kept in local storage, never sent anywhere.

function read(key: string): string | null {
  try {
    return localStorage.getItem(`logmill.${key}`);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(`logmill.${key}`, value);
  } catch {
    // Storage may be full or forbidden: the choice then lasts until the page is closed.
  }
}

export type Theme = "system" | "light" | "dark";

class Prefs {
  theme = $state<Theme>((read("theme") as Theme | null) ?? "system");
  utc = $state(read("utc") === "1");
  compact = $state(read("compact") === "1");
  wrap = $state(read("wrap") === "1");
  sidebar = $state(read("sidebar") !== "0");

  setTheme(theme: Theme): void {
    this.theme = theme;
    write("theme", theme);
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }

  toggle(name: "utc" | "compact" | "wrap" | "sidebar"): void {
    this[name] = !this[name];
    write(name, this[name] ? "1" : "0");
  }
}

export const prefs = new Prefs();
