"""What PSPs tell us: kept as they signed it before it is answered, applied later, once.

Table owned: inbox_events. An answer of 200 means that the event is committed. What is committed is applied by whichever
process takes it; its effect and its new status commit together. What cannot be applied waits with back-off or stands
aside with its reason, and never holds back another. Nothing of a PSP's vocabulary belongs here, and nothing here knows
a payment: handlers from above do.
"""
