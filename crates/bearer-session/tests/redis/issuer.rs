//! [`Issuer`]: counts what is presented to it, by its rules, and can be held at each step; and [`LineEndpoint`], which
//! asks it, a line for a line. The HTTP of a real one is no matter of these tests.

use bearer_session::{
    AccessToken, BoxFuture, RefreshToken, TokenSet,
    endpoint::{AfterUnknown, ExchangeError, OnBehalf, Outcome, SignOutScope, TokenEndpoint},
};
use std::{
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rules {
    /// A token is good once. The second time ends the session.
    Strict,
    /// The parent of the newest token is given the newest again. Any older one ends the session.
    Supabase,
}

/// Where the first request is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hold {
    BeforeExchange,
    AfterExchange,
}

#[derive(Clone)]
pub(crate) struct Issuer(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    rules: Rules,
    takes: Duration,
    state: Mutex<State>,
    held: Notify,
    go_on: Notify,
}

#[derive(Default)]
struct State {
    hold: Option<Hold>,
    newest: u64,
    presented: Vec<u64>,
    ended: bool,
}

impl Issuer {
    /// An issuer of one session, whose refresh tokens are numbered from 0, that takes so long for an exchange.
    pub(crate) async fn start(rules: Rules, hold: Option<Hold>, takes: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            rules,
            takes,
            state: Mutex::new(State { hold, ..State::default() }),
            held: Notify::new(),
            go_on: Notify::new(),
        }));
        let serving = issuer.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(client));
            }
        });
        issuer
    }

    pub(crate) fn endpoint(&self) -> LineEndpoint {
        LineEndpoint { address: self.0.address, rules: self.0.rules }
    }

    /// The numbers of the tokens that were presented, in order.
    pub(crate) fn presented(&self) -> Vec<u64> {
        self.0.state.lock().unwrap().presented.clone()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.0.state.lock().unwrap().ended
    }

    /// Until the first request is held.
    pub(crate) async fn held(&self) {
        self.0.held.notified().await;
    }

    /// Lets the first request go on.
    pub(crate) fn go_on(&self) {
        self.0.go_on.notify_one();
    }

    async fn serve(self, client: TcpStream) {
        let mut client = BufReader::new(client);
        let mut line = String::new();
        client.read_line(&mut line).await.unwrap();
        let Some(number) = line.trim().strip_prefix('r').and_then(|number| number.parse().ok()) else {
            return;
        };
        let hold = self.0.state.lock().unwrap().hold.take();
        if hold == Some(Hold::BeforeExchange) {
            self.hold().await;
        }
        tokio::time::sleep(self.0.takes).await;
        let answer = self.exchange(number);
        if hold == Some(Hold::AfterExchange) {
            self.hold().await;
        }
        // Whoever asked may be gone.
        let _ = client.write_all(answer.as_bytes()).await;
    }

    async fn hold(&self) {
        self.0.held.notify_one();
        self.0.go_on.notified().await;
    }

    fn exchange(&self, number: u64) -> String {
        let mut state = self.0.state.lock().unwrap();
        state.presented.push(number);
        let again = self.0.rules == Rules::Supabase && number + 1 == state.newest;
        if state.ended || !(number == state.newest || again) {
            state.ended = true;
            return "final\n".to_owned();
        }
        if !again {
            state.newest += 1;
        }
        format!("{}\n", state.newest)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct LineEndpoint {
    address: SocketAddr,
    rules: Rules,
}

impl LineEndpoint {
    /// As arguments of a process.
    pub(crate) fn to_text(self) -> String {
        format!("{} {:?}", self.address, self.rules)
    }

    async fn exchange(&self, token: &RefreshToken) -> Result<TokenSet, ExchangeError> {
        let mut issuer =
            TcpStream::connect(self.address).await.map_err(|_| ExchangeError::new(Outcome::NotSpent))?;
        let unknown = |_| ExchangeError::new(Outcome::Unknown);
        issuer.write_all(format!("{}\n", token.expose()).as_bytes()).await.map_err(unknown)?;
        let mut answer = String::new();
        BufReader::new(issuer).read_line(&mut answer).await.map_err(unknown)?;
        match answer.trim() {
            "final" => Err(ExchangeError::new(Outcome::Final)),
            "" => Err(ExchangeError::new(Outcome::Unknown)),
            number => Ok(tokens(number, Duration::from_secs(3600))),
        }
    }
}

/// The tokens of this number.
pub(crate) fn tokens(number: &str, expires_in: Duration) -> TokenSet {
    TokenSet::new(AccessToken::new(format!("a{number}")), expires_in)
        .refresh_token(RefreshToken::new(format!("r{number}")))
}

impl FromStr for LineEndpoint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, rules) = text.split_once(' ').ok_or(())?;
        let rules = if rules == "Strict" { Rules::Strict } else { Rules::Supabase };
        Ok(Self { address: address.parse().map_err(|_| ())?, rules })
    }
}

impl TokenEndpoint for LineEndpoint {
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(self.exchange(token))
    }

    fn sign_out<'a>(
        &'a self,
        _: &'a AccessToken,
        _: Option<&'a RefreshToken>,
        _: SignOutScope,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        Box::pin(async { Ok(()) })
    }

    fn after_unknown(&self) -> AfterUnknown {
        match self.rules {
            Rules::Strict => AfterUnknown::FailClosed,
            Rules::Supabase => AfterUnknown::PresentAgain,
        }
    }
}
