// The frontend's part. In real life:
//   const { data } = await supabase.auth.getSession();
//   const accessToken = data.session.access_token;
const session = document.cookie
  .split("; ")
  .filter((cookie) => /^sb-[^=]+-auth-token(\.\d+)?=/.test(cookie))
  .sort()
  .map((cookie) => cookie.slice(cookie.indexOf("=") + 1))
  .join("");
const base64 = session.slice("base64-".length).replaceAll("-", "+").replaceAll("_", "/");
const accessToken = JSON.parse(atob(base64)).access_token;

// A page can set no header of this request: the token goes as a subprotocol, and the gate takes it out.
const socket = new WebSocket(location.origin.replace("http", "ws") + "/live", ["bearer", accessToken]);
const show = (line) => (document.getElementById("live").textContent += line + "\n");
socket.onopen = () => socket.send("hello from the page");
socket.onmessage = (event) => show(event.data);
socket.onclose = (event) => show(`closed: ${event.reason || event.code}`);
