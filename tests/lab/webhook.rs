//! A webhook on loopback that notes what it is told and answers with one status.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A listener that lasts as long as this process.
pub(crate) struct Webhook {
    pub(crate) url: String,
    told: Arc<Mutex<Vec<String>>>,
}

impl Webhook {
    /// Starts one that answers every request with this status line.
    pub(crate) fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Vec::new()));
        let notes = told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let body = answer(stream, status);
                notes.lock().unwrap().push(body);
            }
        });
        Self { url, told }
    }

    /// The bodies of all requests so far.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, status: &str) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(reply.as_bytes()).unwrap();
    String::from_utf8(body).unwrap()
}
