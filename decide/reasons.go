package decide

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// How many reasons an answer has. Four is the accepted ceiling for the principal reasons of an adverse decision (US
// Regulation B, official comment 9(b)(2)-1); what speaks for the player is shown after them.
const (
	maxRaising  = 4
	maxLowering = 2
)

// What a reason must at least be: leastShare of all contributions in its direction, and leastContribution in log-odds,
// which moves the odds by one in a hundred. Without the second, what is only rounding (1e-19) has a share of all of it
// where nothing else points the same way.
const (
	leastShare        = 0.05
	leastContribution = 0.01
)

// The ranks of list hits: the higher one decides.
const (
	rankNone = iota
	rankBlock
	rankAllow
	rankFinalBlock
)

// listing is what the lists say: the hits of the highest rank.
type listing struct {
	rank int
	hits []listHit
}

type listHit struct {
	list *registry.List
	hit  *pb.ListHit
}

// listed finds the hits that decide: a block that no allow list overrides, then an allow, then any block.
func (j *judgment) listed() listing {
	var out listing
	for _, hit := range j.ev.Msg.GetEnrichment().GetListHits() {
		l := j.policy.List(hit.List)
		if l == nil {
			continue
		}
		rank := rankBlock
		switch {
		case l.Allow:
			rank = rankAllow
		case !l.Overridable:
			rank = rankFinalBlock
		}
		if rank > out.rank {
			out.rank, out.hits = rank, out.hits[:0]
		}
		if rank == out.rank {
			out.hits = append(out.hits, listHit{l, hit})
		}
	}
	return out
}

// reasons words the decision, what decided first: list hits, then the model's contributions, or that there is no score.
func (j *judgment) reasons(listed *listing, scored, explained bool) []*pb.Reason {
	var out []*pb.Reason
	for i := range listed.hits {
		if len(out) < maxRaising {
			out = append(out, listed.hits[i].reason(j.language()))
		}
	}
	switch {
	case explained:
		out = j.modelReasons(out)
	case !scored && listed.rank == rankNone:
		p := j.phrases()
		out = append(out, &pb.Reason{
			Code: "NO_SCORE", Source: "default",
			Text: p.NoScore.In(j.language()).Execute(nil), PlayerText: p.NoScorePlayer.In(j.language()).Execute(nil),
		})
	}
	return out
}

// phrases are the bundle's own words for what is in no reason, or this program's where no bundle decides.
func (j *judgment) phrases() *registry.Phrases {
	if j.bundle != nil {
		return &j.bundle.Reasons.Phrases
	}
	return &j.policy.Phrases
}

func (h *listHit) reason(language string) *pb.Reason {
	r := &pb.Reason{Code: h.list.Code, Source: "list", PlayerText: h.list.Player.In(language).Execute(nil), Direction: "raises"}
	if h.list.Allow {
		r.Direction, r.PlayerText = "lowers", ""
	}
	r.Text = h.list.Text.In(language).Execute(func(name string) string {
		switch name {
		case "list":
			return h.hit.List
		case "version":
			return h.hit.Version
		default:
			return h.hit.Kind
		}
	})
	return r
}

// group is one reason of the catalogue with what its members contributed.
type group struct {
	reason    *registry.Reason
	sum       float64
	strongest int // index in the feature set
}

// modelReasons adds the groups of features that moved the margin most: those that raise it, then those that lower it.
// Contributions are summed within a group before they are compared, so that five windows of one thing are one reason;
// ties keep the order of features. (Practice and sources: DESIGN.md, "Reasons".)
func (j *judgment) modelReasons(out []*pb.Reason) []*pb.Reason {
	groups := j.groups[:0]
	raised, lowered := 0.0, 0.0
	for i := range j.bundle.Reasons.List {
		g := j.sumGroup(&j.bundle.Reasons.List[i])
		if g.sum > 0 {
			raised += g.sum
		} else {
			lowered += g.sum
		}
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.sum, a.sum), cmp.Compare(a.reason.Members[0], b.reason.Members[0]))
	})
	room := maxRaising - len(out)
	for i := 0; i < len(groups) && i < room && groups[i].sum >= max(leastContribution, float64(leastShare*raised)); i++ {
		out = append(out, j.word(&groups[i], groups[i].sum/raised, "raises"))
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.sum, b.sum), cmp.Compare(a.reason.Members[0], b.reason.Members[0]))
	})
	for i := 0; i < len(groups) && i < maxLowering && groups[i].sum <= min(-leastContribution, float64(leastShare*lowered)); i++ {
		out = append(out, j.word(&groups[i], groups[i].sum/lowered, "lowers"))
	}
	j.groups = groups
	return out
}

// sumGroup adds the members in the order of features, and finds the one that moved most in the sum's direction.
func (j *judgment) sumGroup(r *registry.Reason) group {
	g := group{reason: r, strongest: r.Members[0]}
	for _, at := range r.Members {
		g.sum += j.bySet[at]
	}
	sign := 1.0
	if g.sum < 0 {
		sign = -1
	}
	for _, at := range r.Members[1:] {
		if sign*j.bySet[at] > sign*j.bySet[g.strongest] {
			g.strongest = at
		}
	}
	return g
}

// wording is a reason and what its optional fields point to, in one piece of memory.
type wording struct {
	reason                     pb.Reason
	value, contribution, share float64
	percentile, baseline       float64
}

func (j *judgment) word(g *group, share float64, direction string) *pb.Reason {
	name := j.bundle.Set.Features[g.strongest].Name
	w := &wording{value: j.in.Vector[g.strongest], contribution: g.sum, share: share}
	r := &w.reason
	r.Code, r.Source, r.Feature, r.Direction = g.reason.Code, "model", name, direction
	r.ValueStatus = features.Status(j.in.Statuses[g.strongest]).String()
	r.Contribution, r.Share = &w.contribution, &w.share
	texts := g.reason.Text
	if math.IsNaN(w.value) {
		r.Code, texts = g.reason.MissingCode, g.reason.MissingText
	} else {
		r.Value = &w.value
	}
	baseline, usual := g.reason.Baseline(g.strongest)
	percentile, ranked := j.bundle.Percentile(g.strongest, w.value)
	w.baseline, w.percentile = baseline, percentile
	if usual && j.version >= firstWorded {
		r.Baseline = &w.baseline
	}
	if ranked && j.version >= firstWorded {
		r.Percentile = &w.percentile
	}
	if direction == "raises" {
		r.PlayerText = g.reason.Player.In(j.language()).Execute(nil)
	}
	r.Text = texts.In(j.language()).Execute(func(placeholder string) string {
		switch placeholder {
		case "feature":
			return name
		case "value":
			return formatValue(w.value)
		case "baseline":
			return formatValue(w.baseline)
		case "percentile":
			return formatPercentile(w.percentile, ranked)
		default:
			return strconv.FormatFloat(math.Round(float64(share*100)), 'f', 0, 64) + " %"
		}
	})
	return r
}

// formatPercentile writes a percentile for people: with one digit behind the point in the outermost percents, where it is
// what tells values apart.
func formatPercentile(p float64, known bool) string {
	switch {
	case !known:
		return "unknown"
	case p < 1 || p > 99:
		return strconv.FormatFloat(p, 'f', 1, 64)
	}
	return strconv.FormatFloat(math.Round(p), 'f', 0, 64)
}

// formatValue writes a number for people: from a thousand on without decimals, others to four digits.
func formatValue(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 1000 {
		return strconv.FormatFloat(math.Round(v)+0, 'f', 0, 64) // no "-0"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
