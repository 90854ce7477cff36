package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cdnlab/topology"
)

// Roles are the roles of RunNode: those with servers in the topology, and the two that each lab has one of.
var roles = []string{"origin", "hub", "edge", "dns", "gateway", "mgmt"}

// RunNode runs one node of a topology in this process until ctx is cancelled. name may be left out where the topology has
// one node of the role. Nodes that share a key directory share the lab's keys; on several machines the files secret and
// token are copied.
func RunNode(ctx context.Context, t *topology.Topology, role, name string, opt Options) error {
	build, lock, err := func() (func(*wiring, *sockets) (runner, error), string, error) {
		switch role {
		case "gateway":
			return (*wiring).gateway, role, nil
		case "mgmt":
			return func(w *wiring, s *sockets) (runner, error) { return w.admin(alone{w}, s) }, role, nil
		}
		n, err := findNode(t, role, name, opt)
		return func(w *wiring, s *sockets) (runner, error) { return w.node(n, s) }, string(n.Name), err
	}()
	if err != nil {
		return err
	}
	w, err := newWiring(t, opt, lock)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p, err := start(ctx, w.opt.Log, func(s *sockets) (runner, error) { return build(w, s) }, func(err error) { cancel(err) })
	if err != nil {
		return errors.Join(err, w.dir.close())
	}
	if role == "mgmt" {
		err = w.dir.writeState(w.state())
	}
	if err != nil {
		p.cancel()
	}
	w.opt.Log.Info("ready", "role", role, "node", lock)
	<-p.done
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if role == "mgmt" {
		err = errors.Join(err, w.dir.removeState())
	}
	return errors.Join(err, w.dir.close())
}

// findNode finds a node by role and name; the name of a single server's entry will do, as will none for a role with one node.
func findNode(t *topology.Topology, role, name string, opt Options) (topology.Node, error) {
	if !slices.Contains(roles, role) {
		return topology.Node{}, fmt.Errorf("no role %q: want one of %s", role, strings.Join(roles, ", "))
	}
	plan, err := t.Plan(opt.withDefaults().plan())
	if err != nil {
		return topology.Node{}, err
	}
	var names []string
	var found []topology.Node
	for _, n := range plan.Nodes {
		if n.Kind.String() != role {
			continue
		}
		names = append(names, string(n.Name))
		if string(n.Name) == name {
			return n, nil
		}
		if n.Group == name || name == "" {
			found = append(found, n)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return topology.Node{}, fmt.Errorf("no %s %q in the topology: name one of %s", role, name, strings.Join(names, ", "))
}
