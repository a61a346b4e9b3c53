/**
 * WebSocket through the proxy: pages of other sites are refused, and so is who would be one too many. A proxy needs nothing special
 * for upgrades: once the origin agrees to one, bytes go both ways until either side ends.
 *
 *   npm run example examples/websocket.ts
 *   npx wscat -c ws://127.0.0.1:6192/chat
 */
import { HttpPeer, httpProxyService, Opt, type PingoraError, ProxyHttp, Server, type Session } from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6192';
const ORIGIN = process.env.ORIGIN ?? '127.0.0.1:8080';
/** The pages that may connect; programs that aren't browsers send no Origin. */
const SITE = process.env.SITE ?? 'https://example.com';

/** So many may be connected at a time. */
const LIMIT = Number(process.env.LIMIT ?? 100);

interface Ctx {
  /** It counts as one of the connected. */
  counts: boolean;
}

class Chat extends ProxyHttp<Ctx> {
  private connected = 0;

  newCtx(): Ctx {
    return { counts: false };
  }

  override async requestFilter(session: Session, ctx: Ctx): Promise<boolean> {
    if (!session.isUpgradeReq()) return false;
    const site = session.getHeader('Origin');
    // browsers send cookies along from any page: the server has to look where it comes from
    const refused = site !== undefined && site !== SITE ? 403 : this.connected >= LIMIT ? 503 : undefined;
    if (refused === undefined) {
      this.connected++;
      ctx.counts = true;
      return false;
    }
    await session.respondError(refused);
    return true;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(ORIGIN, false, '');
  }

  override responseFilter(session: Session): void {
    // 101 comes here as any other response does
    if (session.isUpgradeReq()) console.log(`connected, ${this.connected} now`);
  }

  /** Called once for each request, however it ended. */
  override logging(session: Session, error: PingoraError | undefined, ctx: Ctx): void {
    if (ctx.counts) this.connected--;
    if (!session.wasUpgraded()) return;
    const [up, down] = [session.bodyBytesRead(), session.bodyBytesSent()];
    console.log(`disconnected${error ? ` (${error})` : ''}, ${up} bytes up, ${down} bytes down`);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const chat = httpProxyService(server.configuration, new Chat());
chat.addTcp(LISTEN);
chat.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(chat);
await server.runForever();
