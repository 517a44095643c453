package models

// schedule puts the drafts of a grove into runs: as few as it easily can, since every run costs a mispredicted branch or
// two, each step behind the one above it. Steps that no other waits for come last.
func (s *shapBuilder) schedule(roots []int32) {
	for kind := range s.ready {
		s.ready[kind] = s.ready[kind][:0]
	}
	first, done := len(s.steps), 0
	for _, root := range roots {
		s.release(root)
	}
	for done < len(s.drafts) {
		kind := s.next()
		r := run{kind: kind, first: uint32(first + done)}
		batch := s.ready[kind]
		s.ready[kind] = nil
		for _, i := range batch {
			s.drafts[i].at = uint32(done)
			done++
			s.steps = append(s.steps, s.drafts[i].step)
			s.drafts[i].place = int32(len(s.steps) - 1)
		}
		for _, i := range batch {
			s.release(s.drafts[i].left)
			s.release(s.drafts[i].right)
		}
		r.end = uint32(first + done)
		s.runs = append(s.runs, r)
	}
	for i := range s.drafts {
		d := &s.drafts[i]
		st := &s.steps[d.place]
		if d.left >= 0 {
			st.left = s.drafts[d.left].at
		}
		if d.right >= 0 {
			st.right = s.drafts[d.right].at
		}
	}
}

// release makes a draft ready, now that the step above it has its place.
func (s *shapBuilder) release(i int32) {
	if i >= 0 {
		kind := s.drafts[i].kind
		s.ready[kind] = append(s.ready[kind], i)
	}
}

// next is the kind that has most steps ready, among those that others wait for if there are any.
func (s *shapBuilder) next() stepKind {
	best := -1
	for _, waitedFor := range [2]bool{true, false} {
		for kind := range s.ready {
			k := stepKind(kind) % repeated
			if inner := k != twoLeaves && k != twigLeaf; inner == waitedFor && len(s.ready[kind]) > 0 && (best < 0 || len(s.ready[kind]) > len(s.ready[best])) {
				best = kind
			}
		}
		if best >= 0 {
			break
		}
	}
	return stepKind(best)
}

// ruleFor is the rule with a number of points; groves share it.
func (s *shapBuilder) ruleFor(n int) *rule {
	if s.rule[n] != nil {
		return s.rule[n]
	}
	nodes, weights := gaussLegendre(n)
	r := &rule{points: n}
	for at := 0; at < n; at += maxWidth {
		var w, a points
		dead := factor{}
		for i := range min(maxWidth, n-at) {
			// 1-p is the node on the other side of the middle, without the rounding of a subtraction.
			w[i], a[i], dead.a[i] = weights[at+i], nodes[n-1-at-i], 1
		}
		r.weights, r.fresh, r.factors = append(r.weights, w), append(r.fresh, a), append(r.factors, []factor{dead})
	}
	s.rule[n] = r
	return r
}

// own makes the factors of a repeated split with the cover ratio a above it, and returns their index.
func (r *rule) own(a float64) uint32 {
	index := len(r.factors[0])
	nodes, _ := gaussLegendre(r.points)
	for pass := range r.factors {
		var f factor
		for i := range min(maxWidth, r.points-pass*maxWidth) {
			at := pass*maxWidth + i
			d := a + float64(nodes[at]*(1-a))
			f.a[i] = float64(nodes[r.points-1-at]*a) / d
			f.b[i] = a / float64(d*d)
		}
		r.factors[pass] = append(r.factors[pass], f)
	}
	return uint32(index)
}
