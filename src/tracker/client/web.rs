//! HTTP: what is fetched, and what the answers say (BEP 3, 7, 23, 24, 31, 48).

use super::address::may_be_peer;
use super::command::AnnounceReply;
use super::error::Error;
use super::job::{Fetch, Fetched, Job};
use super::machine::Client;
use super::request::{Ask, Request, Slot, Step};
use crate::machine::{Instant, JobId};
use crate::proto::announce::Event as Reason;
use crate::proto::http_tracker::{
    self as wire, AnnounceRequest, Limits, Reply, ScrapeFile, decode_announce, decode_scrape, write_scrape_url,
};
use std::borrow::Cow;
use std::time::Duration;

/// For how many torrents is asked at a time: more make URLs that servers refuse.
pub(super) const PART: usize = 40;

impl Client {
    /// Has a request wait for its turn to be fetched.
    pub(super) fn queue_fetch(&mut self, now: Instant, slot: Slot) {
        let most = self.most();
        let Some(request) = self.requests.get_mut(&slot) else { return };
        request.step = Step::Queued;
        self.fetches.push(slot, request.server(), request.farewell, most);
        self.renew_deadline(slot, now + self.config.timeout);
    }

    /// Fetches what waits for it, as far as there may be more HTTP requests. Only now their time begins.
    pub(super) fn pump_fetches(&mut self, now: Instant) {
        let most = self.most();
        while let Some(slot) = self.fetches.next(most) {
            let Some(request) = self.requests.get(&slot) else { return self.fetches.forget(slot, most) };
            let mut url = String::new();
            if let Err(error) = write_url(request, &mut url) {
                self.fail(now, slot, Error::Url(error));
                continue;
            }
            let allowed = match request.farewell {
                true => request.deadline.since(now),
                false => request.budget.min(self.config.fetch_timeout),
            };
            let fetch = Fetch {
                url,
                addresses: request.addresses.clone(),
                family: request.family,
                trust: request.trust,
                // The deadline is ours to keep; the thread must not hang much longer.
                timeout: allowed + Duration::from_millis(500),
                connect_timeout: self.config.connect_timeout,
                max_reply: self.config.max_reply,
                max_redirects: self.config.max_redirects,
                user_agent: self.config.user_agent.clone(),
                #[cfg(feature = "https")]
                roots: self.config.roots.clone(),
            };
            let job = self.job(Job::Fetch(Box::new(fetch)));
            self.fetches.on_started(job, slot, most);
            if let Some(request) = self.requests.get_mut(&slot) {
                request.step = Step::Fetching(job);
            }
            self.renew_deadline(slot, now + allowed);
        }
    }

    /// Takes what was fetched.
    pub(super) fn on_fetched(&mut self, now: Instant, job: JobId, fetched: Result<Fetched, Error>) {
        let answered = !matches!(fetched, Err(Error::TimedOut | Error::Connection { .. }));
        let Some(slot) = self.fetches.on_ended(job, answered, self.most()) else { return };
        // Of a request that has ended it is of no use.
        let awaited = self.requests.get(&slot).filter(|request| request.step == Step::Fetching(job));
        if let Some(request) = awaited {
            let limits = Limits { length: self.config.max_reply, peers: self.config.max_peers, ..Limits::default() };
            match (fetched, &request.ask) {
                (Err(error), _) => self.fail(now, slot, error),
                (Ok(fetched), Ask::Announce(_)) => match read_announce(&fetched, &limits) {
                    Ok(reply) => self.announced(now, slot, reply),
                    Err(error) => self.fail(now, slot, error),
                },
                (Ok(fetched), Ask::Scrape { .. }) => match read_scrape(&fetched, &limits, request) {
                    Ok(part) => {
                        let allowed = request.budget.min(self.config.fetch_timeout);
                        let left = request.budget.saturating_sub(allowed.saturating_sub(request.deadline.since(now)));
                        if let Some(request) = self.requests.get_mut(&slot) {
                            request.budget = left;
                        }
                        self.scraped(now, slot, part);
                    }
                    Err(error) => self.fail(now, slot, error),
                },
            }
        }
        self.pump_fetches(now);
    }
}

fn write_url(request: &Request, out: &mut String) -> Result<(), wire::UrlError> {
    match &request.ask {
        Ask::Announce(announce) => {
            let asked = AnnounceRequest {
                progress: announce.progress,
                event: announce.event,
                num_want: announce.num_want.or((announce.event == Reason::Stopped).then_some(0)),
                key: Some(Cow::Owned(format!("{:08X}", announce.key).into_bytes())),
                tracker_id: announce.tracker_id.as_deref().map(Cow::Borrowed),
                no_peer_id: true,
                ..AnnounceRequest::new(announce.info_hash, announce.peer_id, announce.port)
            };
            asked.write_url(&request.url, out)
        }
        Ask::Scrape { .. } => write_scrape_url(&request.url, request.part(PART).iter().copied(), out).map(drop),
    }
}

fn refused(failure: &wire::Failure<'_>) -> Error {
    Error::Refused { reason: failure.reason.to_string(), retry: failure.retry }
}

/// Of what is no success only the words of a tracker are of interest.
fn read<T>(fetched: &Fetched, read: Result<Reply<'_, T>, wire::ReplyError>) -> Result<T, Error> {
    match (read, fetched.code) {
        (Ok(Reply::Failure(failure)), _) => Err(refused(&failure)),
        (Ok(Reply::Success(reply)), 200..=299) => Ok(reply),
        (Err(error), 200..=299) => Err(Error::Malformed(error)),
        (_, code) => Err(Error::Status { code }),
    }
}

pub(super) fn read_announce(fetched: &Fetched, limits: &Limits) -> Result<AnnounceReply, Error> {
    let reply = read(fetched, decode_announce(&fetched.body, limits))?;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let info = &reply.info;
    Ok(AnnounceReply {
        interval: info.interval.map(seconds).unwrap_or_default(),
        min_interval: info.min_interval.map(seconds),
        seeders: info.complete,
        leechers: info.incomplete,
        completed: info.downloaded,
        peers: reply.addresses().filter(|peer| may_be_peer(*peer)).take(limits.peers).collect(),
        tracker_id: info.tracker_id.map(<[u8]>::to_vec),
        warning: info.warning.map(|warning| warning.to_string()),
        external_ip: info.external_ip,
    })
}

fn read_scrape(fetched: &Fetched, limits: &Limits, request: &Request) -> Result<Vec<ScrapeFile>, Error> {
    let reply = read(fetched, decode_scrape(&fetched.body, limits))?;
    let of = |hash| reply.files.iter().find(|file| file.info_hash == hash).copied();
    Ok(request.part(PART).iter().map(|hash| of(*hash).unwrap_or(ScrapeFile::new(*hash))).collect())
}
