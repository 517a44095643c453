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
			out = append(out, listed.hits[i].reason())
		}
	}
	switch {
	case explained:
		out = j.modelReasons(out)
	case !scored && listed.rank == rankNone:
		out = append(out, &pb.Reason{
			Code: "NO_SCORE", Source: "default",
			Text:       "No score could be made; the outcome is the default for this type of event and its stake",
			PlayerText: "This could not be checked completely",
		})
	}
	return out
}

func (h *listHit) reason() *pb.Reason {
	r := &pb.Reason{Code: h.list.Code, Source: "list", PlayerText: h.list.Player, Direction: "raises"}
	if h.list.Allow {
		r.Direction, r.PlayerText = "lowers", ""
	}
	r.Text = h.list.Text.Execute(func(name string) string {
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
}

func (j *judgment) word(g *group, share float64, direction string) *pb.Reason {
	name := j.bundle.Set.Features[g.strongest].Name
	w := &wording{value: j.in.Vector[g.strongest], contribution: g.sum, share: share}
	r := &w.reason
	r.Code, r.Source, r.Feature, r.Direction = g.reason.Code, "model", name, direction
	r.ValueStatus = features.Status(j.in.Statuses[g.strongest]).String()
	r.Contribution, r.Share = &w.contribution, &w.share
	text := &g.reason.Text
	if math.IsNaN(w.value) {
		r.Code, text = g.reason.MissingCode, &g.reason.MissingText
	} else {
		r.Value = &w.value
	}
	if direction == "raises" {
		r.PlayerText = g.reason.Player
	}
	r.Text = text.Execute(func(placeholder string) string {
		switch placeholder {
		case "feature":
			return name
		case "value":
			return formatValue(w.value)
		case "baseline":
			b, _ := g.reason.Baseline(g.strongest)
			return formatValue(b)
		default:
			return strconv.FormatFloat(math.Round(float64(share*100)), 'f', 0, 64) + " %"
		}
	})
	return r
}

// formatValue writes a number for people: from a thousand on without decimals, others to four digits.
func formatValue(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 1000 {
		return strconv.FormatFloat(math.Round(v)+0, 'f', 0, 64) // no "-0"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
