//! The kernel's word that a file came or went where halts are asked for, so that one counts at once and nobody has to look
//! several times a second whether there is one.
//!
//! Only Linux is asked (`inotify(7)`). Elsewhere, or where the kernel has no watch left, there is no notice and whoever
//! waits for one looks by himself; a folder that other machines write to tells nothing of what they do, so one looks now
//! and then in any case.

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::Notice;
#[cfg(target_os = "linux")]
pub(super) use linux::Notice;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::super::mailbox;

    /// Hears of the files of a data folder.
    #[derive(Debug)]
    pub struct Notice(AsyncFd<OwnedFd>);

    impl Notice {
        /// Listens to the halt file and the requests of a data folder. An error when the kernel will not tell.
        pub fn of(folder: &Path) -> io::Result<Self> {
            let requests = mailbox::requests(folder)?;
            let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            let comes_or_goes =
                WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
            inotify::add_watch(&kernel, folder, comes_or_goes | WatchFlags::ONLYDIR)?;
            // A request is there when it is whole: moved into place, or written to its end.
            let is_whole = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
            inotify::add_watch(&kernel, &requests, is_whole | WatchFlags::ONLYDIR)?;
            #[expect(
                deprecated,
                reason = "sound for an owned descriptor, which never changes; the other way is unsafe"
            )]
            let heard = AsyncFd::with_interest(kernel, Interest::READABLE)?;
            Ok(Self(heard))
        }

        /// Waits until something came or went since the last time.
        pub async fn given(&self) {
            let Ok(mut ready) = self.0.readable().await else {
                return std::future::pending().await;
            };
            // What it was does not matter: whoever waits looks for himself.
            let mut events = [0_u8; 4096];
            while rustix::io::read(self.0.get_ref(), &mut events).is_ok_and(|length| length > 0) {}
            ready.clear_ready();
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;
    use std::path::Path;

    /// Nothing is heard here.
    #[derive(Debug)]
    pub struct Notice;

    impl Notice {
        /// Always an error.
        pub fn of(_folder: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Never comes back.
        pub async fn given(&self) {
            std::future::pending().await
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::super::mailbox::{HALT_FILE, HaltRequest, Request, post};
    use super::*;
    use crate::domain::{Clock, HaltScope, SystemClock};

    #[tokio::test(start_paused = true)]
    async fn whatever_is_put_where_halts_are_asked_for_is_heard_once() {
        let folder = tempfile::tempdir().unwrap();
        let notice = Notice::of(folder.path()).unwrap();
        let file = folder.path().join(HALT_FILE);
        let nothing = || tokio::time::timeout(Duration::from_secs(1), notice.given());
        assert!(nothing().await.is_err());
        fs::write(&file, "rates").unwrap();
        notice.given().await;
        assert!(nothing().await.is_err(), "told already");
        fs::remove_file(&file).unwrap();
        notice.given().await;
        let request = Request::Resume { scope: HaltScope::Desk };
        post(folder.path(), &HaltRequest { at: SystemClock.now(), request }).unwrap();
        notice.given().await;
        assert!(nothing().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_file_says_is_no_notice_in_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("jarvis.db");
        fs::write(&journal, "one").unwrap();
        let notice = Notice::of(folder.path()).unwrap();
        fs::write(&journal, "two").unwrap();
        let told = tokio::time::timeout(Duration::from_secs(1), notice.given()).await;
        assert!(told.is_err(), "a journal is written all the time");
    }
}
