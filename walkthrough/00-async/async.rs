// The Rust of this chapter, whole: tokio 1.54 (rt-multi-thread, macros, sync, time) and arc-swap 1.9, rustc 1.95.

use arc_swap::ArcSwap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, watch, Notify};

// 1
async fn work() -> u32 {
    println!("working");
    42
}

async fn lazy() {
    let future = work();
    println!("made");
    println!("{}", future.await);
}

// 2
struct Later {
    asked: u32,
}

impl Future for Later {
    type Output = u32;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        self.asked += 1;
        if self.asked == 3 {
            return Poll::Ready(self.asked);
        }
        println!("pending");
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

async fn asks() {
    println!("ready after {} polls", Later { asked: 0 }.await);
}

// 3
async fn spawns() {
    let task = tokio::spawn(async {
        println!("in the task");
    });
    println!("spawned");
    task.await.unwrap();
    println!("ended");
}

// 4
struct Closes;

impl Drop for Closes {
    fn drop(&mut self) {
        println!("closed");
    }
}

async fn slow() {
    let _socket = Closes;
    tokio::time::sleep(Duration::from_secs(60)).await;
    println!("never printed");
}

async fn selects() {
    tokio::select! {
        biased;
        _ = slow() => println!("slow won"),
        _ = async {} => println!("the other won"),
    }
    println!("after");
}

// 5
async fn joins() {
    let (tx, mut rx) = mpsc::channel(1);
    let sends = async move {
        println!("sends");
        tx.send("hello").await.unwrap();
    };
    let receives = async { println!("got {}", rx.recv().await.unwrap()) };
    tokio::join!(receives, sends);
    println!("both done");
}

// 6
async fn permits() {
    let (tx, mut rx) = mpsc::channel(1);
    let permit = tx.try_reserve().unwrap();
    println!("room for another: {}", tx.try_reserve().is_ok());
    permit.send("hello");
    println!("got {}", rx.recv().await.unwrap());
    println!("room for another: {}", tx.try_reserve().is_ok());
}

// 7
async fn rings() {
    let bell = Arc::new(Notify::new());
    bell.notify_waiters();
    println!("nobody heard the bell");
    let own = bell.clone();
    let waits = tokio::spawn(async move {
        own.notified().await;
        println!("heard the bell");
    });
    tokio::task::yield_now().await;
    bell.notify_waiters();
    waits.await.unwrap();
}

async fn watches() {
    let (tx, mut rx) = watch::channel(false);
    println!("shutting down: {}", *rx.borrow());
    let waits = tokio::spawn(async move {
        rx.changed().await.unwrap();
        println!("shutting down: {}", *rx.borrow());
    });
    tx.send(true).unwrap();
    waits.await.unwrap();
}

// 8
async fn swaps() {
    let origins = Arc::new(ArcSwap::from_pointee(vec!["a", "b"]));
    let reader = origins.clone();
    let seen = reader.load_full();
    origins.store(Arc::new(vec!["c"]));
    println!("{} {}", seen.join(","), reader.load_full().join(","));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    lazy().await;
    println!("--");
    asks().await;
    println!("--");
    spawns().await;
    println!("--");
    selects().await;
    println!("--");
    joins().await;
    println!("--");
    permits().await;
    println!("--");
    rings().await;
    println!("--");
    watches().await;
    println!("--");
    swaps().await;
}
