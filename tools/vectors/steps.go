package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The bodies: the names and formulas of models/shap_kernel.go.

func (p *pass) twoLeaves() {
	test, feature := twigTest, twigFeature
	if p.repeated {
		test, feature = stepTest, stepFeature
	}
	t := p.right(test)
	v, slope := p.all(twigV, t), p.all(twigSlope, t)
	at := p.place(stepAt)
	var sums []reg.VecVirtual
	for i := range p.vectors {
		sums = append(sums, p.weigh(p.load(at, i), i))
		p.store(p.line(slope, v, i), at, i)
	}
	p.contribute(sums, slope, feature)
}

func (p *pass) twigLeaf() {
	side, t := p.right(stepTest), p.right(twigTest)
	g, b, leaf, slope := p.all(stepG, side), p.all(stepB, side), p.leaf(), p.all(twigSlope, t)
	x, v := XMM(), p.vector()
	VMOVSD(Mem{Base: p.step, Disp: twigV, Index: t, Scale: 8}, x)
	VSUBSD(leaf.AsX(), x, x)
	VBROADCASTSD(x, v)
	at := p.place(stepAt)
	var sums, twigs []reg.VecVirtual
	for i := range p.vectors {
		f, d, x := p.line(g, b, i), p.line(slope, v, i), p.load(at, i)
		twigs = append(twigs, p.mul(x, f))
		sums = append(sums, p.mul(x, d))
		VMULPD(f, d, d)
		VADDPD(leaf, d, d)
		p.store(d, at, i)
	}
	p.contribute(sums, g, stepFeature)
	p.contribute(twigs, slope, twigFeature)
}

func (p *pass) downInnerLeaf() {
	side := p.right(stepTest)
	g, b := p.all(stepG, side), p.all(stepB, side)
	at, left := p.place(stepAt), p.place(stepLeft)
	for i := range p.vectors {
		p.store(p.mul(p.points(at, i), p.line(g, b, i)), left, i)
	}
}

func (p *pass) upInnerLeaf() {
	side := p.right(stepTest)
	g, b, leaf := p.all(stepG, side), p.all(stepB, side), p.leaf()
	at, left := p.place(stepAt), p.place(stepLeft)
	var sums []reg.VecVirtual
	for i := range p.vectors {
		d, f := p.minus(p.load(left, i), leaf), p.line(g, b, i)
		sums = append(sums, p.mul(d, p.weigh(p.load(at, i), i)))
		VMULPD(d, f, f)
		VADDPD(leaf, f, f)
		p.store(f, at, i)
	}
	p.contribute(sums, g, stepFeature)
}

func (p *pass) downTwigInner() {
	side, t := p.right(stepTest), p.right(twigTest)
	g, b, slope := p.all(stepG, side), p.all(stepB, side), p.all(twigSlope, t)
	at, right := p.place(stepAt), p.place(stepRight)
	var twigs []reg.VecVirtual
	for i := range p.vectors {
		x := p.load(at, i)
		l := p.mul(x, p.line(g, b, i))
		p.store(p.minus(x, l), right, i)
		twigs = append(twigs, l)
	}
	p.contribute(twigs, slope, twigFeature)
}

func (p *pass) upTwigInner() {
	side, t := p.right(stepTest), p.right(twigTest)
	g, b, v, slope := p.all(stepG, side), p.all(stepB, side), p.all(twigV, t), p.all(twigSlope, t)
	at, right := p.place(stepAt), p.place(stepRight)
	var sums []reg.VecVirtual
	for i := range p.vectors {
		r := p.load(right, i)
		d, f := p.minus(p.line(slope, v, i), r), p.line(g, b, i)
		sums = append(sums, p.mul(d, p.load(at, i)))
		VMULPD(d, f, f)
		VADDPD(r, f, f)
		p.store(f, at, i)
	}
	p.contribute(sums, g, stepFeature)
}

func (p *pass) downInnerInner() {
	side := p.right(stepTest)
	g, b := p.all(stepG, side), p.all(stepB, side)
	at, left, right := p.place(stepAt), p.place(stepLeft), p.place(stepRight)
	for i := range p.vectors {
		x := p.load(at, i)
		l := p.mul(x, p.line(g, b, i))
		p.store(l, left, i)
		p.store(p.minus(x, l), right, i)
	}
}

func (p *pass) upInnerInner() {
	side := p.right(stepTest)
	g, b := p.all(stepG, side), p.all(stepB, side)
	at, left, right := p.place(stepAt), p.place(stepLeft), p.place(stepRight)
	var sums []reg.VecVirtual
	for i := range p.vectors {
		r := p.load(right, i)
		d, f := p.minus(p.load(left, i), r), p.line(g, b, i)
		sums = append(sums, p.mul(d, p.weigh(p.load(at, i), i)))
		VMULPD(d, f, f)
		VADDPD(r, f, f)
		p.store(f, at, i)
	}
	p.contribute(sums, g, stepFeature)
}
