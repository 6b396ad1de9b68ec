// JSON messages over one WebSocket. Requests of the server are answered here; all else goes to the LSP client.
import type { Transport } from "@codemirror/lsp-client";

type Json = any;

export class Connection implements Transport {
  private handlers = new Set<(text: string) => void>();
  private answers = new Map<string, (params: Json) => Json>();

  private constructor(private socket: WebSocket, closed: () => void) {
    socket.onmessage = event => void this.receive(event.data);
    socket.onclose = closed;
  }

  static open(token: string, closed: () => void): Promise<Connection> {
    const socket = new WebSocket(`ws://${location.host}/lsp?token=${encodeURIComponent(token)}`);
    return new Promise((resolve, reject) => {
      socket.onopen = () => resolve(new Connection(socket, closed));
      socket.onerror = () => reject(new Error("The server does not answer, or this page's token is an old one."));
    });
  }

  // What the server may ask of the editor; anything else is answered as an unknown method.
  on(method: string, answer: (params: Json) => Json) { this.answers.set(method, answer); }

  send(message: string) { this.socket.send(message); }
  subscribe(handler: (text: string) => void) { this.handlers.add(handler); }
  unsubscribe(handler: (text: string) => void) { this.handlers.delete(handler); }

  private async receive(text: string) {
    const message = JSON.parse(text);
    if (message.method !== undefined && message.id !== undefined) {
      const answer = this.answers.get(message.method);
      const reply = answer === undefined
        ? { error: { code: -32601, message: `no ${message.method} here` } }
        : { result: (await answer(message.params)) ?? null };
      this.send(JSON.stringify({ jsonrpc: "2.0", id: message.id, ...reply }));
      return;
    }
    for (const handler of this.handlers) handler(text);
  }
}
