package sim

import pb "pitboss/proto/pitboss/v1"

// feature is a bonus game that a player has bought and not finished. What it wins is the player's when it is over:
// feature.finished says how much, and there is no bet and no credit besides the price.
type feature struct {
	game             *game
	left, stake, win int64
	// at is when it was left open.
	at int64
}

const (
	// A feature has featureRounds rounds and costs featurePrice times the usual stake. Each round is a tenth of the price.
	featureRounds, featurePrice = 10, 50
	featureID                   = "free-spins"
	// brokenOff is the chance that a client is gone in the middle of a feature, which waits for its player then [A].
	brokenOff = 0.1
)

// offerFeature lets a game sell one at its launch, where the regulator lets it, and gives the time after it.
func (s *Sim) offerFeature(p *player, at int64) int64 {
	rng, ses, w := &p.rng, &p.session, &p.wallet
	parks := w.wagerTotal > 0 && p.habit.parks
	if !ses.game.sells || !p.brand.autoplay || p.feature != nil || !parks && (w.wagerTotal > 0 || !rng.chance(0.5)) {
		return at
	}
	at += rng.micros(2*second, 0.4)
	// At the usual stake, or at what two thirds of the balance buy.
	affordable := stepBelow(s.steps, float64(w.total())/float64(p.brand.unit)*100/1.5/featurePrice)
	price := s.steps[min(ses.usualStake, affordable)] * p.brand.unit / 100 * featurePrice
	if parks {
		price = min(max(price, w.total()/3), w.maxBet*featurePrice) / featureRounds * featureRounds
	}
	rounds := int64(featureRounds)
	b := s.aboutFeature(p, at, "feature.offered")
	b.ev.Payload = &pb.Event_FeatureOffered{FeatureOffered: &pb.FeatureOffered{FeatureId: featureID, Price: p.money(price), RoundsTotal: &rounds}}
	p.tell(b)
	buys := rng.chance(p.habit.buys)
	if price <= 0 || price > w.total() || !parks && !buys {
		return at
	}
	at += rng.micros(3*second, 0.5)
	b = s.aboutFeature(p, at, "feature.bought")
	b.told.act = true
	b.transaction(p)
	b.ev.Payload = &pb.Event_FeatureBought{FeatureBought: &pb.FeatureBought{FeatureId: featureID, Price: p.money(price), RoundsTotal: &rounds}}
	p.tell(b)
	p.takeStake(price)
	p.feature = &feature{game: ses.game, left: rounds, stake: price / rounds}
	at++
	b = s.aboutFeature(p, at, "feature.entered")
	b.ev.Payload = &pb.Event_FeatureEntered{FeatureEntered: &pb.FeatureEntered{FeatureId: featureID, RoundsTotal: &rounds}}
	p.tell(b)
	if parks {
		return s.playFeature(p, at, 1)
	}
	return s.playFeature(p, at, rounds)
}

func (s *Sim) aboutFeature(p *player, at int64, kind string) *eventBlock {
	return s.news(p, at, kind, p.session.game.producer, aboutVisit|aboutSession|aboutGame)
}

// playFeature plays so many rounds of a feature, fewer where the client is gone, and gives the time after them.
func (s *Sim) playFeature(p *player, at, rounds int64) int64 {
	rng, f := &p.rng, p.feature
	for ; rounds > 0 && f.left > 0; rounds-- {
		at += f.game.minCycle + rng.micros(700*millisecond, 0.3)
		end, win := s.unstaked(p, at, rng.pcg.Uint64(), "bought", f.stake)
		f.left--
		f.win += win
		f.at, at = end, end
		if f.left > 0 && rng.chance(brokenOff/featureRounds) {
			p.session.end = at
			return at
		}
	}
	if f.left > 0 {
		return at
	}
	total := int64(featureRounds)
	b := s.aboutFeature(p, at+1, "feature.finished")
	b.ev.Payload = &pb.Event_FeatureFinished{FeatureFinished: &pb.FeatureFinished{FeatureId: featureID, RoundsTotal: &total, Win: p.money(f.win)}}
	p.tell(b)
	p.takeWin(f.win, false)
	p.feature = nil
	return at + 1
}

// waiting says whether the player goes on now with what was left open: who parked it for the sake of a bonus, once that is
// released or lost.
func (p *player) waiting() bool {
	return p.feature != nil && (p.wallet.wagerTotal == 0 || !p.habit.parks)
}

// resume goes on with it, in its game, and gives the time after it.
func (s *Sim) resume(p *player, at int64) int64 {
	f := p.feature
	left, since := f.left, (at-f.at)/second
	b := s.aboutFeature(p, at, "feature.resumed")
	b.ev.Payload = &pb.Event_FeatureResumed{FeatureResumed: &pb.FeatureResumed{FeatureId: featureID, RoundsLeft: &left, SuspendedS: &since}}
	p.tell(b)
	return s.playFeature(p, at, left)
}
