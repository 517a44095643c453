package sim

import pb "pitboss/proto/pitboss/v1"

// stage is where a player is in their life.
type stage uint8

const (
	// unborn players have no account yet.
	unborn stage = iota
	// away players come back at their next session.
	away
	// playing players are in a session.
	playing
	// gone players never come back.
	gone
)

// habit is how somebody plays. Every player, honest or not, runs through the same code and fills the same fields;
// frauds and look-alikes are nothing but other habits.
type habit struct {
	// activeShare of days has a session; again is the chance of one more on the same day.
	activeShare, again float64
	// sessionMedian and sessionSigma say how long a session lasts.
	sessionMedian int64
	sessionSigma  float64
	// dailyPlay, where above 0, is how long a machine plays each day, in sessions with breaks; see bot.go.
	dailyPlay int64
	// shift moves the hours of the day: night workers. hours says which hours they are; slot, where above 0, is the moment
	// of the day at which the player comes, within slotWidth.
	shift           int
	hours           hours
	slot, slotWidth int64
	// pace is how long the hand waits.
	pace pace
	// stake is the usual stake, an index into the ladder; restless is the chance to leave it at a bet; chases says that
	// losses raise it.
	stake    int
	restless float64
	chases   bool
	// loyalty is the chance to stay with the game at a look into the lobby; tables is the share of games on an even
	// chance while no bonus has to be played out, bonusTables the same while one has.
	loyalty, tables, bonusTables float64
	autoplay                     bool
	// favourite, where above 0, is the game that is always played, less one.
	favourite int
	// live is the chance of a live table where a game is chosen.
	live float64
	// poker is the chance of a seat at a table of hold'em.
	poker float64
	// tournaments is the chance to take part in an evening's.
	tournaments float64
	// deposit is the usual deposit in units; exact says that it is always just what a bonus needs.
	deposit float64
	exact   bool
	// takesBonus is the chance to take an offer; boldness is the part of the balance staked while a bonus is played out
	// (0: as usual).
	takesBonus, boldness float64
	// cashesIn: a released bonus is withdrawn after cashDelay, and with the chance of leaves never played with again.
	cashesIn  bool
	cashDelay int64
	leaves    float64
	// withdraws is the chance to withdraw at the end of a visit.
	withdraws float64
	// buys is the chance to buy a feature that is offered; parks says that one is bought with a bonus and left open until the
	// bonus is released.
	buys  float64
	parks bool
	// regrets is the chance to take a withdrawal back while it waits.
	regrets float64
	// disputes is the chance that a deposit is disputed.
	disputes float64
	// failedLogins is how many fail before one does not, -1 where chance decides.
	failedLogins int
	// bursts is the chance of a visit at many times the usual stake.
	bursts float64
	// travels: a week in three is spent abroad.
	travels bool
	// cheat is what is wrong with client or script.
	cheat cheat
	// collusion is what a pair or trio agreed on; nil for everybody else.
	collusion *collusion
}

// hours are the hours at which somebody plays.
type hours uint8

const (
	// usual hours have their peak in the evening.
	usual hours = iota
	// evening is when tournaments are.
	evening
	// allDay is any hour alike.
	allDay
)

// pace is how long a hand waits before the next bet, after the game is ready.
type pace struct {
	kind uint8
	// For the fixed kinds: the whole gap and its jitter. For the others: the median, or mean, and the sigma, or cv.
	base   int64
	spread float64
	// pauses is the chance of a longer pause.
	pauses float64
}

const (
	paceHuman    = iota // the cycle, and a lognormal hand
	paceFixed           // base, evenly +- spread microseconds
	paceGaussian        // base, normal with cv spread
	paceUniform         // base, evenly +- spread of it
	paceReplay          // base, lognormal with sigma spread: replayed human gaps, without pauses
)

// wait gives the time from one bet to the next.
func (p pace) wait(rng *stream, minCycle int64) int64 {
	switch p.kind {
	case paceFixed:
		return max(minCycle, p.base+int64(rng.between(-p.spread, p.spread)))
	case paceUniform:
		return max(minCycle, int64(float64(p.base)*rng.between(1-p.spread, 1+p.spread)))
	case paceGaussian:
		return max(minCycle, int64(float64(p.base)*(1+float64(p.spread*rng.normal()))))
	case paceReplay:
		return minCycle + rng.micros(max(p.base-minCycle, 100*millisecond), p.spread)
	}
	gap := minCycle + rng.micros(p.base, p.spread)
	if rng.chance(p.pauses) {
		gap += rng.micros(25*second, 1)
	}
	return gap
}

// player is one account and the person or machine behind it.
type player struct {
	rng   stream
	idx   int32
	stage stage
	// place is where the player is in the agenda.
	place int32
	truth *role
	// plot is what the player does besides playing, at plotAt (0: never).
	plot   plot
	plotAt int64
	// wake is when the player acts next; queue holds what they did that has not been told yet, in order of time.
	wake  int64
	queue []*told
	head  int

	brand      *brand
	keys       keys
	habit      *habit
	registered bool
	// started says that a fraud has set when it begins.
	started      bool
	registration account
	// texts are what events of this visit are written with; nil where there was none yet.
	texts *texts
	// devicesSeen has a bit for each of the devices that was used.
	devicesSeen uint8
	// end is when this player stops for ever.
	end int64

	// friend is who gets a gift now and then, -1 for nobody; clickDelay is from an affiliate's page to the account.
	friend     int32
	clickDelay int64
	// atRisk players lose hold of it, honest or not: see docs/sim.md.
	atRisk bool
	client clientProgram
	mood   mood

	wallet  wallet
	session session
	// feature is what was bought and is not finished; nil where nothing is.
	feature *feature
	// poker is the table where the player sits with chips, nil for none.
	poker *pokerTable
	chips int64
	// dayStart and playedToday keep a machine's hours.
	dayStart, playedToday int64
}

// keys are the player's identifiers, before they become text.
type keys struct {
	player, account uint64
	devices         [2]uint64
	instruments     [2]uint64
	// home is the address of the line; carrier, where not 0, is the pool of a phone without one.
	home    uint32
	carrier uint64
	// fixed, where not 0, is the one address that all visits come from; vpn says that they come from an exit.
	fixed uint32
	vpn   bool
	// partner is the affiliate who brought the player, 0 for nobody; click is the visit to the affiliate's page.
	partner, click uint64
}

// account is what was said when it was opened.
type account struct {
	nickname, emailDomain string
}

// wallet is the player's money, in minor units.
type wallet struct {
	real, bonus int64
	// wagerLeft of wagerTotal has to be staked before the bonus is released; both 0 where there is none.
	wagerLeft, wagerTotal int64
	maxBet                int64
	bonusKey              uint64
	bonusAt               int64
	deposits              int
	// cashAt is when what a bonus brought is withdrawn; 0 where nothing waits.
	cashAt int64
	// What was paid in and out, sent to others and received from them; lost is what of it was told as a loss.
	paidIn, paidOut, sent, received, lost int64
	disputed                              int
	// parked is the bonus for which a feature was bought, 0 for none.
	parked uint64
	// instant: deposits are not offered a bonus.
	instant bool
}

func (w *wallet) total() int64 { return w.real + w.bonus }

// session is a visit.
type session struct {
	key, device uint64
	address     uint32
	start, end  int64
	game        *game
	gameStart   int64
	lastStake   int
	// usualStake is the step that the player comes back to on this visit, splurge what deposits are multiplied by.
	usualStake       int
	splurge          float64
	losses           int
	rounds           int
	clientSeq, nonce uint64
	guard            guardState
	// entry is the player's part in tonight's tournament.
	entry *entry
	// table is the live table, seated since when (0: not).
	table  int32
	seated int64
	// checked is when the player was last told how long the visit is.
	checked    int64
	channel    string
	instrument uint64
	// clientSeed is what the client adds to the chance of this visit's rounds.
	clientSeed string
	// beat is the time of the last heartbeat, beats how many there were.
	beat     int64
	beats    uint64
	declines int
	// free are rounds that the operator pays for.
	free freeRounds
	// noPoker says that there was no seat, or too few chips.
	noPoker bool
	// topUp says that the player pays in before the first bet.
	topUp bool
}

// role is the truth about a player.
type role struct {
	typology, ring, role string
	mimicry              float64
	fraud                bool
}

// told is an event that is ready but for what is only known when its turn comes: its id and its producer's sequence.
type told struct {
	at       int64
	ev       *pb.Event
	producer uint8
	truth    *role
	player   int32
	// act says that a label about this event may follow: see labels.go.
	act bool
	// loss is the money, in minor units, that this act costs the operator or the account's owner.
	loss int64
	// cost is what it costs the fraud, in minor units: a challenge that somebody solves for money.
	cost int64
	// finish sets what is known only when the event's turn comes.
	finish func(ev *pb.Event)
	// undo is how an answer that stops the act takes it back; deed is what this follows from, where it comes by itself.
	undo *undo
	deed *deed
	// name is the player's identifier.
	name string
	// takenBack says that this bet will be.
	takenBack bool
	// order breaks ties among what comes by itself.
	order uint64
}

// undo is what a bet or a payment changes, as it was before.
type undo struct {
	player *player
	// key and stake are of a bet; stake is 0 for payments.
	key    uint64
	stake  int64
	wallet wallet
	losses int
	// deed is what follows from it.
	deed deed
}

// deed is a payment from which events follow by themselves, hours or weeks later. Of one that was undone none does.
type deed struct{ undone bool }

// before notes how things stand before an act.
func (p *player) before(key uint64, stake int64) *undo {
	return &undo{player: p, key: key, stake: stake, wallet: p.wallet, losses: p.session.losses}
}

// tell queues an event of the player's, after those that are queued: no two of them have the same time, so that their order
// does not depend on who sorts them.
func (p *player) tell(b *eventBlock) {
	t := &b.told
	if n := len(p.queue); n > p.head && t.at <= p.queue[n-1].at {
		t.at = p.queue[n-1].at + 1
		setTime(&b.at, t.at)
	}
	if p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
	}
	p.queue = append(p.queue, t)
}
