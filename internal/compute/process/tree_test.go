package process

import (
	"os"
	"slices"
	"testing"
)

func TestTreeWithoutCgroups(t *testing.T) {
	const marker = dataVariable + "/nowhere"
	me, err := myself(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	all := []proc{
		{pid: me.PID, session: me.PID, start: me.Start, uid: 500},            // the leader
		{pid: 11, session: me.PID, start: me.Start + 1, uid: 500},            // in its session
		{pid: 12, session: 12, parent: 11, start: me.Start + 2, uid: 500},    // a child that left it
		{pid: 13, session: 12, parent: 12, start: me.Start + 3, uid: 500},    // and its child
		{pid: 14, session: me.PID, start: me.Start - 5, uid: 500},            // older than the leader
		{pid: 15, session: 15, parent: 1, start: me.Start + 9, uid: 500},     // a stranger
		{pid: 16, session: me.PID, start: me.Start + 1, dead: true},          // a zombie
		{pid: 17, session: 17, parent: 1, start: me.Start + 9, uid: 2000001}, // another user's
	}
	pids := func(tr tree) (list []int) {
		for _, p := range tr.find(all) {
			list = append(list, p.pid)
		}
		slices.Sort(list)
		return list
	}
	want := []int{11, 12, 13, me.PID}
	slices.Sort(want)
	if got := pids(tree{leader: me, marker: marker}); !slices.Equal(got, want) {
		t.Errorf("by session: %v, want %v", got, want)
	}
	if got := pids(tree{uid: 2000001, marker: marker}); !slices.Equal(got, []int{17}) {
		t.Errorf("by user: %v", got)
	}
	stranger := me
	stranger.Start--
	if got := pids(tree{leader: stranger, marker: marker}); len(got) != 0 {
		t.Errorf("a session whose number was given to another: %v", got)
	}
}
