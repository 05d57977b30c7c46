/*
 * The compare and the repair (docs/RECONCILE.md), as a model that spin checks whole: every interleaving of a
 * few transactions, apply, a foreign writer, a ring that forgets, and a compare with its repair. What is in
 * it, what is not, and which variants must fail: tests/model/README.md.
 */
#ifndef KEYS
#define KEYS 2
#endif
#ifndef TXNS
#define TXNS 3
#endif
#ifndef FOREIGN_WRITES
#define FOREIGN_WRITES 2
#endif

/* What a row holds. */
#define ABSENT 0
#define FIRST 1
#define OF_TXN(t) (2 + (t))
#define OF_FOREIGN(n) (10 + (n))

#define ROW_OF(t) (deletes[t] -> ABSENT : OF_TXN(t))
#define HAS(set, n) (((set) >> (n)) & 1)
#define IMAGE TXNS /* in the log, beside the transactions */

/* No part of a state: says once that the model gets somewhere. */
c_decl { static unsigned once; };
#define REACHED(n, name) \
    c_code { if (!(once & (1u << n))) { once |= 1u << n; printf("reached: " name "\n"); } }

/* The source. */
byte truth[KEYS];   /* what a new snapshot shows */
bool locked[KEYS];  /* somebody has written it who is not visible yet */
byte touches[TXNS]; /* set of keys */
bool deletes[TXNS];
byte visible;          /* set of transactions: a new snapshot */
byte log[TXNS + 1];    /* the WAL and the stream, in commit order; a position is a number of entries */
byte logged;
byte begun;
bool over; /* the compare has found nothing, or apply has judged the image: nothing new begins */

/* The target. */
byte follower[KEYS];
byte meant[KEYS]; /* what the log up to P amounts to: known to the claims alone */
byte applied;     /* P */

/* The image. */
bool image_has[KEYS];
byte image_row[KEYS], image_guard[KEYS];
byte image_snapshot, image_floor, image_low;

/* A transaction locks and writes its rows; its commit is in the log; some time later, without bound, it is
 * visible, and only then may the next one write the same row. */
proctype writer(byte t)
{
    byte k;
end_unbegun:
    atomic {
        begun == t && !over; /* transactions are told apart by their order alone */
        if
        :: !locked[0] -> touches[t] = 1
        :: !locked[1] -> touches[t] = 2
        :: !locked[0] && !locked[1] -> touches[t] = 3
        fi;
        if
        :: deletes[t] = true
        :: deletes[t] = false
        fi;
        d_step {
            for (k : 0 .. KEYS - 1) {
                locked[k] = locked[k] || HAS(touches[t], k)
            }
            k = 0;
            begun++
        }
    }
    d_step {
        log[logged] = t;
        logged++
    }
    d_step {
        visible = visible | (1 << t);
        for (k : 0 .. KEYS - 1) {
            if
            :: HAS(touches[t], k) ->
                truth[k] = ROW_OF(t);
                locked[k] = false
            :: else
            fi
        }
        k = 0
    }
end:
    false
}

inline image_judge(k)
{
    newer = false;
    /* Which entries of the log count: behind the floor everything that S does not show is newer. */
#ifdef DBLOG_WATERMARK
    i = image_low;
#else
    i = (ring_from > image_floor -> ring_from : image_floor);
#endif
    do
    :: i < applied ->
        t = log[i];
        if
        :: t == IMAGE
        :: else ->
#ifdef DBLOG_WATERMARK
            newer = newer || HAS(touches[t], k)
#else
            newer = newer || (HAS(touches[t], k) && !HAS(image_snapshot, t))
#endif
        fi;
        i++
    :: else -> break
    od;
    if
    :: !image_has[k]
#if !defined(RING_REACH_NOT_CHECKED) && !defined(DBLOG_WATERMARK)
    :: image_has[k] && ring_from > image_floor -> REACHED(0, "skipped_ring")
#endif
#if defined(RING_REACH_NOT_CHECKED) || defined(DBLOG_WATERMARK)
    :: image_has[k] && newer
#else
    :: image_has[k] && ring_from <= image_floor && newer -> REACHED(1, "skipped_newer")
#endif
    :: else ->
        if
        :: follower[k] == image_row[k] -> REACHED(2, "noop_equal")
#ifdef UNGUARDED_DELETE
        :: follower[k] != image_row[k] && follower[k] != image_guard[k] && image_row[k] != ABSENT ->
            REACHED(3, "skipped_guard")
#else
        :: follower[k] != image_row[k] && follower[k] != image_guard[k] -> REACHED(3, "skipped_guard")
#endif
        :: else ->
            /* Nothing of a foreign writer since the compare is lost. */
            assert(follower[k] == image_guard[k]);
            follower[k] = image_row[k];
            if
            :: image_row[k] == ABSENT -> REACHED(4, "deleted")
            :: else -> REACHED(5, "written")
            fi
        fi;
        /* Whatever a repair wrote or found written is the truth here: it undid nothing newer, and no row rose
         * from the dead. */
        assert(follower[k] != image_row[k] || follower[k] == meant[k])
    fi
}

inline image_forget()
{
    for (k : 0 .. KEYS - 1) {
        image_has[k] = false;
        image_row[k] = 0;
        image_guard[k] = 0
    }
    k = 0;
    image_snapshot = 0;
    image_floor = 0;
    image_low = 0
}

proctype apply()
{
    byte t, i, k, ring_from; /* the ring has the keys of log[ring_from .. applied) */
    bool newer;
end:
    do
    :: d_step {
        applied < logged && log[applied] != IMAGE ->
        t = log[applied];
        for (k : 0 .. KEYS - 1) {
            if
            :: HAS(touches[t], k) ->
                follower[k] = ROW_OF(t);
                meant[k] = ROW_OF(t)
            :: else
            fi
        }
        applied++;
        t = 0;
        k = 0
    }
    :: atomic {
        applied < logged && log[applied] == IMAGE ->
        ring_from = 0;
        do /* it has forgotten so much */
        :: ring_from < applied -> ring_from++
        :: break
        od;
        d_step {
            image_judge(0);
            image_judge(1);
            applied++;
            t = 0;
            i = 0;
            newer = false;
            ring_from = 0;
            image_forget();
            over = true
        }
    }
    od
}

/* Whoever writes to the target beside apply: divergence comes from here, at any time. */
proctype foreigner()
{
    byte n, k;
end:
    do
    :: atomic {
            n < FOREIGN_WRITES && !over ->
            if
            :: k = 0
            :: k = 1
            fi;
            if
            :: follower[k] = OF_FOREIGN(n)
            :: follower[k] = ABSENT
            fi;
            n++;
            k = 0
        }
    od
}

byte snapshot, horizon, progress; /* S, H, P */
byte source_row[KEYS], target_row[KEYS], target_meant[KEYS];
bool reported[KEYS];

/* Is the key in a transaction of log[0 .. until) that is in exactly one of S and P? */
inline is_dirty(k, until, by_lsn)
{
    dirty = false;
    i = 0;
    do
    :: i < until ->
        t = log[i];
        if
        :: t == IMAGE
        :: else ->
            seen = (by_lsn -> i < horizon : HAS(snapshot, t));
            dirty = dirty || (HAS(touches[t], k) && seen != (i < progress))
        fi;
        i++
    :: else -> break
    od
}

inline key_compare(k)
{
    is_dirty(k, logged, false);
    exact = dirty;
    /* The rule itself: the last writer of a clean key is the same on both sides. */
    assert(exact || source_row[k] == target_meant[k]);
#ifdef CUT_BY_LSN
    is_dirty(k, read_until, true);
#else
    is_dirty(k, read_until, false);
#endif
    reported[k] = !dirty && source_row[k] != target_row[k];
    /* No difference is invented, and none of a clean key is missed (the second claim can be left out, so that a
     * variant that breaks both is seen to break the first). */
    assert(!reported[k] || target_row[k] != target_meant[k]);
#ifndef ONLY_INVENTED
    assert(reported[k] || exact || target_row[k] == target_meant[k]);
#endif
    if
    :: reported[k] -> image_guard[k] = target_row[k]
    :: else
    fi
}

inline source_read()
{
    snapshot = visible;
    source_row[0] = truth[0];
    source_row[1] = truth[1]
}

inline target_read()
{
    progress = applied;
    target_row[0] = follower[0];
    target_row[1] = follower[1];
    target_meant[0] = meant[0];
    target_meant[1] = meant[1]
}

inline judge()
{
#ifdef HORIZON_OF_THE_SOURCE_ONLY
    read_until = horizon;
#else
    read_until = (progress > horizon -> progress : horizon);
#endif
    key_compare(0);
    key_compare(1);
    for (i : 0 .. KEYS - 1) {
        source_row[i] = 0;
        target_row[i] = 0;
        target_meant[i] = 0
    }
    dirty = false;
    exact = false;
    seen = false;
    i = 0;
    t = 0;
    read_until = 0;
    snapshot = 0;
    horizon = 0;
    progress = 0
}

/* One transaction of the source reads S and the rows, and its commit puts the image into the log. */
inline repair()
{
    image_low = logged;
    d_step {
        REACHED(6, "reported");
        image_snapshot = visible;
        image_floor = 0;
        do
        :: image_floor < logged && HAS(visible, log[image_floor]) -> image_floor++
        :: else -> break
        od;
        for (i : 0 .. KEYS - 1) {
            image_has[i] = reported[i];
            image_row[i] = (reported[i] -> truth[i] : 0);
            reported[i] = false
        }
        i = 0
    }
    d_step {
        log[logged] = IMAGE;
        logged++
    }
}

proctype reconciler()
{
    byte i, t, read_until;
    bool dirty, exact, seen;
    d_step { source_read() }
    horizon = logged;
    d_step { target_read() }
    d_step { judge() }
    if
    :: reported[0] || reported[1] -> repair()
    :: else -> over = true
    fi;
    /* In the quiet at the end everything that is wrong is reported. */
    d_step {
        over && visible == (1 << begun) - 1 && applied == logged;
        source_read();
        horizon = logged;
        target_read();
        judge();
        assert(reported[0] == (follower[0] != meant[0]));
        assert(reported[1] == (follower[1] != meant[1]))
    }
end:
    false
}

init
{
    byte n;
    d_step {
        truth[0] = FIRST;
        follower[0] = FIRST;
        meant[0] = FIRST /* the other key has no row at first */
    }
    atomic {
        for (n : 0 .. TXNS - 1) {
            run writer(n)
        }
        run apply();
        run foreigner();
        run reconciler()
    }
end:
    false
}
