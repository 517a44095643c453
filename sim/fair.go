package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	pb "pitboss/proto/pitboss/v1"
)

// A round is provably fair: the server gives SHA-256 of its seed away before the round, and the seed after it. The
// outcome is SHA-256 of "server seed:client seed:nonce", and what it pays follows from the first 53 bits of that.

// draw is one round's chance.
type draw struct {
	// seed is the server's, in hexadecimal.
	seed   [32]byte
	commit [sha256.Size]byte
	digest [sha256.Size]byte
}

// newDraw draws a seed and what comes of it.
func newDraw(a, b uint64, clientSeed string, nonce uint64) draw {
	var d draw
	appendHex(appendHex(d.seed[:0], a), b)
	d.commit = sha256.Sum256(d.seed[:])
	d.digest = outcomeDigest(d.seed[:], clientSeed, nonce)
	return d
}

func outcomeDigest(seed []byte, clientSeed string, nonce uint64) [sha256.Size]byte {
	var buf [128]byte
	b := append(buf[:0], seed...)
	b = append(append(append(b, ':'), clientSeed...), ':')
	return sha256.Sum256(strconv.AppendUint(b, nonce, 10))
}

// unit is the outcome as a number in [0, 1).
func (d *draw) unit() float64 { return digestUnit(d.digest[:8]) }

// jackpotUnit decides the jackpot.
func (d *draw) jackpotUnit() float64 { return digestUnit(d.digest[8:16]) }

func digestUnit(b []byte) float64 { return float64(binary.BigEndian.Uint64(b)>>11) * 0x1p-53 }

func hexText(b []byte) string {
	var buf [2 * sha256.Size]byte
	out := buf[:0]
	for ; len(b) >= 8; b = b[8:] {
		out = appendHex(out, binary.BigEndian.Uint64(b))
	}
	return string(out)
}

// result is what an outcome is called and what it pays on a selection, in hundredths of the stake.
func (g *game) result(u float64, selection string) (outcome string, x100 int) {
	if g.table {
		switch {
		case u < g.hit:
			outcome = "red"
		case u < 2*g.hit:
			outcome = "black"
		default:
			outcome = "zero"
		}
		if outcome == selection {
			return outcome, 200
		}
		return outcome, 0
	}
	if u >= g.hit {
		return "x0", 0
	}
	n := int(float64(u / g.hit * float64(g.wins.total)))
	for i, w := range g.wins.weights {
		if n < w || i == len(g.wins.weights)-1 {
			return g.wins.names[i], g.wins.x100[i]
		}
		n -= w
	}
	return "x0", 0
}

// ErrUnfair is the error of a result that does not follow from the seeds that were committed to.
var ErrUnfair = errors.New("the result does not follow from the committed seed")

// Rules are what the casino's games pay.
type Rules struct{ world *world }

// NewRules gives the rules of every simulated casino: they do not depend on the seed.
func NewRules() *Rules { return &Rules{newWorld()} }

// CheckRound says whether a round's result follows from what was committed to before it. The three events are of one
// round. An unknown game is an error, which is not ErrUnfair.
func (r *Rules) CheckRound(started, bet, result *pb.Event) error {
	var g *game
	for _, id := range started.GetEntities() {
		if id.GetKind() == "game" {
			g = r.world.byID(id.GetValue())
		}
	}
	if g == nil {
		return fmt.Errorf("cannot check round: event %q names no game of this casino", started.GetEventId())
	}
	before, after := started.GetRoundStarted(), result.GetRoundResult()
	commit := sha256.Sum256([]byte(after.GetServerSeed()))
	if hexText(commit[:]) != before.GetSeedCommitHash() {
		return fmt.Errorf("%w: the seed is another one", ErrUnfair)
	}
	digest := outcomeDigest([]byte(after.GetServerSeed()), after.GetClientSeed(), before.GetNonce())
	if hexText(digest[:]) != after.GetOutcomeHash() {
		return fmt.Errorf("%w: the outcome's digest is another one", ErrUnfair)
	}
	outcome, x100 := g.result(digestUnit(digest[:8]), bet.GetBetPlaced().GetSelection())
	if outcome != after.GetOutcome() || int64(x100)*10_000 != after.GetPayoutPpm() {
		return fmt.Errorf("%w: %s paying %d ppm was shown, %s paying %d follows", ErrUnfair, after.GetOutcome(), after.GetPayoutPpm(),
			outcome, x100*10_000)
	}
	return nil
}
