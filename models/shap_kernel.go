package models

// kernel does the steps of one grove for one row. Its sums over the points are two, of the even and the odd ones, in
// their order: what a vector kernel does too, so that it gives the same bits.
type kernel struct {
	bins    *binTable
	states  []points
	rows    []uint32
	phi     []float64
	width   int // of the pass: even, at most maxWidth
	fresh   *points
	factors []factor
	lanes   int // of the instructions: 1, lanesAVX2 or lanesAVX512
}

// findRows gives every repeated split the factors of a row that is still on its path or not.
func (k *kernel) findRows(repeats []repeat) {
	rows := k.rows[:len(repeats)]
	for i := range repeats {
		r := &repeats[i]
		row := r.own
		if r.above.right(k.bins) != r.side || r.next != 0 && rows[r.next-1] == 0 {
			row = 0
		}
		rows[i] = row
	}
}

// down does the steps of one kind on the way from the roots.
func (k *kernel) down(kind stepKind, steps []step) {
	if k.lanes > 1 {
		k.downVector(kind, steps)
	} else {
		k.downScalar(kind, steps)
	}
}

// up does those that have to wait for their children.
func (k *kernel) up(kind stepKind, steps []step) {
	if k.lanes > 1 {
		k.upVector(kind, steps)
	} else {
		k.upScalar(kind, steps)
	}
}

func (k *kernel) downScalar(kind stepKind, steps []step) {
	switch kind {
	case twoLeaves:
		k.twoLeaves(steps)
	case twigLeaf:
		k.twigLeaf(steps)
	case innerLeaf:
		k.downInnerLeaf(steps)
	case twigInner:
		k.downTwigInner(steps)
	case innerInner:
		k.downInnerInner(steps)
	case twoLeaves + repeated:
		k.twoLeavesRepeated(steps)
	case innerLeaf + repeated:
		k.downInnerLeafRepeated(steps)
	case innerInner + repeated:
		k.downInnerInnerRepeated(steps)
	}
}

func (k *kernel) upScalar(kind stepKind, steps []step) {
	switch kind {
	case innerLeaf:
		k.upInnerLeaf(steps)
	case twigInner:
		k.upTwigInner(steps)
	case innerInner:
		k.upInnerInner(steps)
	case innerLeaf + repeated:
		k.upInnerLeafRepeated(steps)
	case innerInner + repeated:
		k.upInnerInnerRepeated(steps)
	default: // done on the way down
	}
}

func (k *kernel) twoLeaves(steps []step) {
	bins, states, phi, a, width := k.bins, k.states, k.phi, k.fresh, k.width
	for i := range steps {
		s := &steps[i]
		t := s.twig.test.right(bins)
		v, slope := s.twig.v[t], s.twig.slope[t]
		p := &states[s.at]
		s0, s1 := 0.0, 0.0
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			s0 += p[e]
			p[e] = v + float64(slope*a[e])
			s1 += p[o]
			p[o] = v + float64(slope*a[o])
		}
		phi[s.twig.feature] -= float64(slope * (s0 + s1))
	}
}

func (k *kernel) twigLeaf(steps []step) {
	bins, states, phi, a, width := k.bins, k.states, k.phi, k.fresh, k.width
	for i := range steps {
		s := &steps[i]
		side, t := s.test.right(bins), s.twig.test.right(bins)
		g, b, leaf := s.g[side], s.b[side], s.leaf
		v, slope := s.twig.v[t]-leaf, s.twig.slope[t]
		p := &states[s.at]
		s0, s1, t0, t1 := 0.0, 0.0, 0.0, 0.0
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			f, d, x := b+float64(g*a[e]), v+float64(slope*a[e]), p[e]
			t0 += float64(x * f)
			s0 += float64(x * d)
			p[e] = leaf + float64(f*d)
			f, d, x = b+float64(g*a[o]), v+float64(slope*a[o]), p[o]
			t1 += float64(x * f)
			s1 += float64(x * d)
			p[o] = leaf + float64(f*d)
		}
		phi[s.feature] -= float64(g * (s0 + s1))
		phi[s.twig.feature] -= float64(slope * (t0 + t1))
	}
}

func (k *kernel) downInnerLeaf(steps []step) {
	bins, states, a, width := k.bins, k.states, k.fresh, k.width
	for i := range steps {
		s := &steps[i]
		side := s.test.right(bins)
		g, b := s.g[side], s.b[side]
		p, l := &states[s.at], &states[s.left]
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			l[e] = float64(p[e] * (b + float64(g*a[e])))
			l[o] = float64(p[o] * (b + float64(g*a[o])))
		}
	}
}

func (k *kernel) upInnerLeaf(steps []step) {
	bins, states, phi, a, width := k.bins, k.states, k.phi, k.fresh, k.width
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		side := s.test.right(bins)
		g, b, leaf := s.g[side], s.b[side], s.leaf
		p, l := &states[s.at], &states[s.left]
		s0, s1 := 0.0, 0.0
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			d := l[e] - leaf
			s0 += float64(p[e] * d)
			p[e] = leaf + float64((b+float64(g*a[e]))*d)
			d = l[o] - leaf
			s1 += float64(p[o] * d)
			p[o] = leaf + float64((b+float64(g*a[o]))*d)
		}
		phi[s.feature] -= float64(g * (s0 + s1))
	}
}

func (k *kernel) downTwigInner(steps []step) {
	bins, states, phi, a, width := k.bins, k.states, k.phi, k.fresh, k.width
	for i := range steps {
		s := &steps[i]
		side, t := s.test.right(bins), s.twig.test.right(bins)
		g, b := s.g[side], s.b[side]
		p, r := &states[s.at], &states[s.right]
		t0, t1 := 0.0, 0.0
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			l := float64(p[e] * (b + float64(g*a[e])))
			r[e] = p[e] - l
			t0 += l
			l = float64(p[o] * (b + float64(g*a[o])))
			r[o] = p[o] - l
			t1 += l
		}
		phi[s.twig.feature] -= float64(s.twig.slope[t] * (t0 + t1))
	}
}

func (k *kernel) upTwigInner(steps []step) {
	bins, states, phi, a, width := k.bins, k.states, k.phi, k.fresh, k.width
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		side, t := s.test.right(bins), s.twig.test.right(bins)
		g, b := s.g[side], s.b[side]
		v, slope := s.twig.v[t], s.twig.slope[t]
		p, r := &states[s.at], &states[s.right]
		s0, s1 := 0.0, 0.0
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			d := v + float64(slope*a[e]) - r[e]
			s0 += float64(p[e] * d)
			p[e] = r[e] + float64((b+float64(g*a[e]))*d)
			d = v + float64(slope*a[o]) - r[o]
			s1 += float64(p[o] * d)
			p[o] = r[o] + float64((b+float64(g*a[o]))*d)
		}
		phi[s.feature] -= float64(g * (s0 + s1))
	}
}

func (k *kernel) downInnerInner(steps []step) {
	bins, states, a, width := k.bins, k.states, k.fresh, k.width
	for i := range steps {
		s := &steps[i]
		side := s.test.right(bins)
		g, b := s.g[side], s.b[side]
		p, l, r := &states[s.at], &states[s.left], &states[s.right]
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			x := float64(p[e] * (b + float64(g*a[e])))
			l[e], r[e] = x, p[e]-x
			x = float64(p[o] * (b + float64(g*a[o])))
			l[o], r[o] = x, p[o]-x
		}
	}
}

func (k *kernel) upInnerInner(steps []step) {
	bins, states, phi, a, width := k.bins, k.states, k.phi, k.fresh, k.width
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		side := s.test.right(bins)
		g, b := s.g[side], s.b[side]
		p, l, r := &states[s.at], &states[s.left], &states[s.right]
		s0, s1 := 0.0, 0.0
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			d := l[e] - r[e]
			s0 += float64(p[e] * d)
			p[e] = r[e] + float64((b+float64(g*a[e]))*d)
			d = l[o] - r[o]
			s1 += float64(p[o] * d)
			p[o] = r[o] + float64((b+float64(g*a[o]))*d)
		}
		phi[s.feature] -= float64(g * (s0 + s1))
	}
}
