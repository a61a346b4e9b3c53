/** An HTTP application with a module of its own, through which it passes the request's body too. */
import { HttpServer, type Response, ServeHttp } from '../../apps/http-app.ts';
import { ResponseHeader } from '../../http/lib.ts';
import { HttpModules } from '../../modules/http/mod.ts';
import type { Session } from '../../protocols/http/server.ts';
import { Service } from '../../services/listening.ts';
import type { Setup } from './setup.ts';

/** Counts what passes. */
class Counter {
  requests = 0;
  bytes = 0;

  requestHeaderFilter(): void {
    this.requests++;
  }

  requestBodyFilter(body: Buffer | undefined): Buffer | undefined {
    this.bytes += body?.length ?? 0;
    return body;
  }
}

class Counting extends ServeHttp {
  readonly #ofBodies = HttpModules.new();

  constructor() {
    super();
    this.#ofBodies.addModule({ init: () => new Counter() });
  }

  async response(session: Session): Promise<Response> {
    const modules = this.#ofBodies.buildCtx();
    for (;;) {
      const piece = await session.readRequestBody();
      if (piece === undefined) break;
      // 0.1.0 has this filter for applications: it calls it nowhere itself
      modules.requestBodyFilter(piece);
    }
    const body = Buffer.from(`${modules.get(Counter)!.bytes} bytes`);
    const head = ResponseHeader.build(200);
    head.insertHeader('content-length', body.length);
    return { head, body };
  }
}

export const setup: Setup = () => {
  const app = HttpServer.newApp(new Counting());
  app.addModule({ init: () => new Counter() });
  const service = Service.new('Counting', app);
  service.addTcp('127.0.0.1:0');
  return [service];
};
