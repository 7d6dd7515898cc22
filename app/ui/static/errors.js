// What can go wrong between the page and the server.

// The server said no (RFC 9457). `again`: the same request may succeed later.
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code ?? "";
    this.again = status >= 500;
  }
}

// The connection broke, or there was none.
export class Lost extends Error {}
