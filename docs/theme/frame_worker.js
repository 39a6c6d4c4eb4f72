"use strict";

// A page that is opened as a file may start no worker; the search runs in a hidden frame instead. The theme looks for this name.
class IFrameWorker extends EventTarget {
  constructor(url) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    this.inner = frame.contentWindow;
    this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
    this.inner.importScripts = async (...urls) => {
      for (const one of urls) {
        await this.load(one);
      }
    };
    this.ready = this.load(url);
  }

  load(url) {
    return new Promise((loaded, failed) => {
      const script = this.inner.document.createElement("script");
      script.src = url;
      script.onload = loaded;
      script.onerror = failed;
      this.inner.document.body.append(script);
    });
  }

  async postMessage(data) {
    await this.ready;
    this.inner.dispatchEvent(new MessageEvent("message", { data }));
  }
}

if (location.protocol === "file:") {
  window.IFrameWorker = IFrameWorker;
  window.Worker = IFrameWorker;
}
