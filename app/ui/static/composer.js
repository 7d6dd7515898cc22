// Where inputs are written: Enter sends, Shift+Enter begins a line. While a run is active, an input joins it or waits.

const TALLEST = 220;

export class Composer {
  #form = document.getElementById("composer");
  #text = document.getElementById("text");
  #send = document.getElementById("send");
  #stop = document.getElementById("stop");
  #policy = document.getElementById("policy");

  constructor({ onSend, onStop }) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#text.value.trim();
      if (!text) return;
      this.fill("");
      onSend(text, this.#form.elements.policy.value);
    });
    this.#stop.addEventListener("click", () => {
      this.#stop.disabled = true;
      onStop();
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    this.#text.addEventListener("input", () => this.#fit());
    this.#fit();
  }

  fill(text) {
    this.#text.value = text;
    this.#fit();
  }

  // Gives an input that was not taken back to its writer, unless something else was written meanwhile.
  restore(text) {
    if (!this.#text.value) this.fill(text);
  }

  focus() {
    this.#text.focus();
  }

  show({ isBusy, isCancelling }) {
    this.#stop.hidden = this.#policy.hidden = !isBusy;
    this.#stop.disabled = isCancelling;
    this.#text.placeholder = isBusy ? "Add something while it runs" : "Write a message";
  }

  #fit() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${Math.min(this.#text.scrollHeight, TALLEST)}px`;
    this.#send.disabled = !this.#text.value.trim();
  }
}
