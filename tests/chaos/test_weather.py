import asyncio

from chaos.weather import CLEAR, SILENT, Network, Weather


class Listener(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.append(data)


def fates(weather: Weather, number: int = 20_000) -> list[list[float]]:
    network = Network(7)
    network.weather = weather
    return [network.fate() for _ in range(number)]


def test_in_clear_weather_every_datagram_arrives_once_and_at_once() -> None:
    assert fates(CLEAR, 100) == [[0.0]] * 100


def test_shares_are_those_of_the_weather() -> None:
    drawn = fates(Weather(loss=0.2, duplication=0.1, delay=0.3, max_delay_s=0.5))
    arrived = [fate for fate in drawn if fate]
    copies = [delay_s for fate in arrived for delay_s in fate]

    assert abs(1 - len(arrived) / len(drawn) - 0.2) < 0.02
    assert abs(sum(len(fate) == 2 for fate in arrived) / len(arrived) - 0.1) < 0.02
    assert abs(sum(delay_s > 0 for delay_s in copies) / len(copies) - 0.3) < 0.02
    assert max(copies) <= 0.5


def test_equal_seeds_draw_equal_weather() -> None:
    rough = Weather(loss=0.5, delay=0.5)
    assert fates(rough, 50) == fates(rough, 50)


async def test_sockets_of_the_loop_feel_it() -> None:
    loop = asyncio.get_running_loop()
    network = Network(0)
    network.install(loop)
    there, hearer = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
    here, _ = await loop.create_datagram_endpoint(
        Listener, remote_addr=there.get_extra_info("sockname")
    )

    here.sendto(b"one")
    await asyncio.sleep(0.05)
    network.weather = SILENT
    here.sendto(b"two")
    await asyncio.sleep(0.05)
    network.weather = CLEAR
    here.sendto(b"three")
    await asyncio.sleep(0.05)

    assert hearer.heard == [b"one", b"three"]
    here.close()
    there.close()
