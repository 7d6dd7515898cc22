// Keeps the newest line in sight, unless the reader went up to read.

const NEAR = 80;

export class Scroll {
  #area;
  #button;
  #sticks = true;

  constructor(area, button) {
    this.#area = area;
    this.#button = button;
    area.addEventListener("scroll", () => this.#look(), { passive: true });
    button.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.settle()).observe(area.firstElementChild);
  }

  toEnd() {
    this.#sticks = true;
    this.settle();
  }

  // To be called after the content changed.
  settle() {
    if (this.#sticks) this.#area.scrollTop = this.#area.scrollHeight;
    this.#look();
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#area;
    this.#sticks = scrollHeight - scrollTop - clientHeight < NEAR;
    this.#button.hidden = this.#sticks;
  }
}
