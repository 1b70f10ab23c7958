// The search takes every word for the beginning of one: the "I" of a question finds "install". So
// a question goes to it without the words that say nothing.
(() => {
  const idle = new Set(
    ("a an and are as at by can could do does for from get have how i if in is it its me my of on " +
      "one or qt qtloop should some that the there this to use using want what when where which with " +
      "without would you your").split(" "),
  );
  const post = Worker.prototype.postMessage;

  Worker.prototype.postMessage = function (message, ...more) {
    if (message && message.type === 2 && typeof message.data === "string") {
      const words = message.data.split(/\s+/);
      const telling = words.filter((word) => !idle.has(word.toLowerCase().replace(/\?$/, "")));
      const query = telling.join(" ").replace(/'s\b/g, "");
      message = { ...message, data: query.trim() ? query : message.data };
    }
    return post.call(this, message, ...more);
  };
})();
