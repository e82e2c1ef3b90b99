import json
from tests.flows.test_state_machine import *
def test_dbg(fast_platform):
    class M(Shopping):
        platform = fast_platform
        visited = Visited()
    m=M()
    m.create(automatic=True, method="3ds", words={"cancel": "fails"})
    m.cancel()
    m.decide_at_the_page()
    time.sleep(4)
    s=m.sales[-1]
    print(m.shops[0].payment(s.payment_id))
    print(json.dumps(m.shops[0].get(f"/payments/{s.payment_id}/timeline").json, indent=1))
    print(fast_platform.sql("select id, operation, status, lease_until, updated_at, next_check_at, checks, detail, psp_reference, now() from payment_attempts"))
    print(fast_platform.charges())
    print(fast_platform.apis[0].output()[-3000:])
