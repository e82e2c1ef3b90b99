"""The boundary to payment service providers: what each must answer, the one place that calls them, who they are.

Tables owned: psp_accounts, psp_requests. No transaction is ever open across a call. No PSP's own word appears here.
"""
