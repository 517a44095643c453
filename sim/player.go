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
	// shift moves the hours of the day: night workers.
	shift int
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
}

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
	paceReplay          // base, lognormal with sigma spread: replayed human gaps, without pauses
)

// wait gives the time from one bet to the next.
func (p pace) wait(rng *stream, minCycle int64) int64 {
	switch p.kind {
	case paceFixed:
		return max(minCycle, p.base+int64(rng.between(-p.spread, p.spread)))
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
	truth *role
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
	// devicesSeen has a bit for each of the devices that was used.
	devicesSeen uint8
	// end is when this player stops for ever.
	end int64

	wallet  wallet
	session session
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
	losses      int
	rounds      int
	clientSeq   uint64
	channel     string
	instrument  uint64
	// beat is the time of the last heartbeat, beats how many there were.
	beat     int64
	beats    uint64
	declines int
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
	// order breaks ties among what comes by itself.
	order uint64
}

// tell queues an event of the player's, never before one that is queued.
func (p *player) tell(b *eventBlock) {
	t := &b.told
	if n := len(p.queue); n > p.head && t.at < p.queue[n-1].at {
		t.at = p.queue[n-1].at
		setTime(&b.at, t.at)
	}
	if p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
	}
	p.queue = append(p.queue, t)
}
