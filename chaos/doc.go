// Package chaos breaks a whole fabric of processes while messages go through it, and checks from journals on disk that
// none was lost, doubled, overtaken or left unanswered.
//
//	driver (entry) ── three nodes ══ two agents ── one → two → three, two instances each; echo
//	      │                                               │
//	   ledger ──────────────── check ──────────── journals, a file an instance
//
// What is broken when, and where, follows from the seed.
package chaos
