//! The Unix socket in the data folder: consoles of other processes come in here.
//!
//! Both sides speak lines of JSON. The console begins with a [`Hello`]; from then on the desk sends
//! [`Feed`]s and the console sends [`Request`]s. The socket is the owner's alone (mode 0600 in a folder of mode 0700).

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::failure::Failure;
use super::reception::{Reception, Rights};
use crate::domain::{Feed, Request};

/// The socket's name in the data folder.
const FILE_NAME: &str = "jarvis.sock";
/// Both sides must speak the same version; it changes with the shapes of feeds and requests.
const PROTOCOL: u32 = 1;
/// The longest line either side takes. A cycle's page with every prompt and stream is well below a megabyte.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// Feeds and requests that may wait for a slow peer.
const WAITING: usize = 1024;

/// The first line of a console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hello {
    protocol: u32,
    /// Whether its commands are refused.
    read_only: bool,
}

/// The first line of a desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Welcome {
    protocol: u32,
    version: String,
}

/// The door consoles come in by. Dropped, it is shut and its socket is gone; who is in already is not put out.
pub struct Door {
    path: PathBuf,
    porter: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.porter.abort();
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket could not be removed");
        }
    }
}

/// A connection to a desk: what it tells, and where requests go. It is over when the feeds end.
pub struct Line {
    /// What the desk tells.
    pub feeds: mpsc::Receiver<Feed>,
    /// What the console asks.
    pub requests: mpsc::Sender<Request>,
}

/// The socket of a data folder.
pub fn place(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE_NAME)
}

/// Opens the door. The caller holds the desk's lock, so a socket that is there already belongs to nobody.
pub fn open(data_dir: &Path, reception: Reception) -> Result<Door, Failure> {
    let path = place(data_dir);
    let cannot = |error: io::Error| {
        Failure::failed(format!("the socket {} cannot be opened: {error}", path.display()))
    };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path).map_err(cannot)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(cannot)?;
    let porter = tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let reception = reception.clone();
                    tokio::spawn(async move {
                        if let Err(error) = welcome(stream, reception).await {
                            tracing::info!(%error, "a console's connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a console could not come in");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(Door { path, porter })
}

async fn welcome(stream: UnixStream, reception: Reception) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let welcome = Welcome { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
    write_line(&mut writer, &welcome).await?;
    let Some(hello) = read_line::<Hello>(&mut reader).await? else { return Ok(()) };
    if hello.protocol != PROTOCOL {
        return Err(io::Error::other(format!("it speaks protocol {}, not {PROTOCOL}", hello.protocol)));
    }
    let rights = if hello.read_only { Rights::Watch } else { Rights::Command };
    let (feeds, told) = mpsc::channel(WAITING);
    let (asked, requests) = mpsc::channel(WAITING);
    tokio::select! {
        () = reception.attend(rights, requests, feeds) => Ok(()),
        written = write_all(&mut writer, told) => written,
        read = read_all(&mut reader, asked) => read,
    }
}

/// Connects to the desk of a data folder.
pub async fn connect(data_dir: &Path, read_only: bool) -> io::Result<Line> {
    let stream = UnixStream::connect(place(data_dir)).await?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    write_line(&mut writer, &Hello { protocol: PROTOCOL, read_only }).await?;
    let welcome = read_line::<Welcome>(&mut reader).await?.ok_or(ErrorKind::UnexpectedEof)?;
    if welcome.protocol != PROTOCOL {
        let told = format!(
            "the desk is jarvis {} and speaks another protocol than this console; use the same version for both",
            welcome.version
        );
        return Err(io::Error::new(ErrorKind::Unsupported, told));
    }
    let (told, feeds) = mpsc::channel(WAITING);
    let (requests, asked) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        // Whichever way it ends, the console sees its feeds end and says so.
        let _ = tokio::select! {
            written = write_all(&mut writer, asked) => written,
            read = read_all(&mut reader, told) => read,
        };
    });
    Ok(Line { feeds, requests })
}

async fn write_all<T: Serialize>(
    writer: &mut (impl AsyncWrite + Unpin),
    mut lines: mpsc::Receiver<T>,
) -> io::Result<()> {
    while let Some(line) = lines.recv().await {
        write_line(writer, &line).await?;
    }
    Ok(())
}

async fn read_all<T: DeserializeOwned>(
    reader: &mut (impl AsyncBufRead + Unpin),
    lines: mpsc::Sender<T>,
) -> io::Result<()> {
    while let Some(line) = read_line(reader).await? {
        if lines.send(line).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn write_line<T: Serialize>(writer: &mut (impl AsyncWrite + Unpin), line: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await
}

/// The next line, or nothing at the end.
async fn read_line<T: DeserializeOwned>(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut bytes = Vec::new();
    let length = reader.take(LONGEST_LINE).read_until(b'\n', &mut bytes).await?;
    if length == 0 {
        return Ok(None);
    }
    if bytes.last() != Some(&b'\n') {
        return Err(io::Error::new(ErrorKind::InvalidData, "a line was cut off or is too long"));
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Query;

    #[tokio::test]
    async fn lines_arrive_as_they_were_sent_and_a_cut_one_is_an_error() {
        let request = Request::Query { id: 4, query: Query::Market };
        let mut wire = Vec::new();
        write_line(&mut wire, &request).await.unwrap();
        write_line(&mut wire, &request).await.unwrap();
        let mut reader = BufReader::new(wire.as_slice());
        assert_eq!(read_line(&mut reader).await.unwrap(), Some(request.clone()));
        assert_eq!(read_line(&mut reader).await.unwrap(), Some(request));
        assert_eq!(read_line::<Request>(&mut reader).await.unwrap(), None);
        let mut cut = BufReader::new(&wire[..10]);
        assert_eq!(read_line::<Request>(&mut cut).await.unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
