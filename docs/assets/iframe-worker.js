// Read from a disk, a page may start no worker, and the search of this site runs in one. Its
// script gets a hidden frame in place of that. On a server this does nothing. The file is
// named as the site generator's `offline` plugin looks for it; it would name another server.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(script) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.documentElement.append(this.frame);
      const base = new URL(script, location.href);
      const inside = this.frame.contentWindow;
      const load = (url) =>
        new Promise((done, failed) => {
          const element = inside.document.createElement("script");
          Object.assign(element, { src: new URL(url, base).href, onload: done, onerror: failed });
          inside.document.head.append(element);
        });
      inside.importScripts = (...urls) => urls.reduce((before, url) => before.then(() => load(url)), Promise.resolve());
      inside.postMessage = (data) => this.tell(this, data);
      this.inside = load(base).then(() => inside);
    }

    postMessage(data) {
      this.inside.then((inside) => this.tell(inside, data));
    }

    // Later, as a worker does: who sends a message may begin to listen after that.
    tell(target, data) {
      setTimeout(() => {
        const event = new MessageEvent("message", { data });
        target.dispatchEvent(event);
        if (target === this) this.onmessage?.(event);
      });
    }

    terminate() {
      this.frame.remove();
    }
  };
}
