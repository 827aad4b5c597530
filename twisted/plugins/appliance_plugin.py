from twisted.application.service import ServiceMaker

appliance = ServiceMaker(
    "appliance",
    "appliance.tap",
    "Share a few public addresses among many names: a DNS answer is a lease.",
    "appliance",
)
