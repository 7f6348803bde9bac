// The case worker's page. Old browsers run it too: no later than ECMAScript 5. Every text comes from /texts.json.
// A form keeps one event key until it is accepted, so that sending again after a lost answer never makes two.
(function () {
  'use strict';
  var texts = null, language = 'en', token = null, form = null, key = null, tab = 'new', accepted = null, earlier = false;
  var SELECTS = {
    'risk_level': ['', 'high', 'medium', 'low', 'no_action'],
    'child.sex': ['', 'female', 'male', 'other']
  };

  function $(id) { return document.getElementById(id); }
  function all(selector) { return Array.prototype.slice.call(document.querySelectorAll(selector)); }
  function text(name) { return texts[language].page[name] || name; }
  function show(id, on) { $(id).hidden = !on; }
  function put(element, words) { element.textContent = words; }
  function add(parent, tag, words) {
    var element = document.createElement(tag);
    if (words !== undefined) { put(element, words); }
    parent.appendChild(element);
    return element;
  }

  function keep(name, value) {
    // A browser that stores nothing still works: one signs in again.
    try {
      if (value === null) { localStorage.removeItem(name); sessionStorage.removeItem(name); }
      else if (name === 'language' || $('remember').checked) { localStorage.setItem(name, value); }
      else { sessionStorage.setItem(name, value); }
    } catch (ignored) { return; }
  }
  function kept(name) {
    try { return sessionStorage.getItem(name) || localStorage.getItem(name); } catch (ignored) { return null; }
  }

  // done(status, body): status 0 if no answer came.
  function ask(method, path, body, done) {
    var request = new XMLHttpRequest();
    request.open(method, path);
    request.timeout = 45000;
    if (token) { request.setRequestHeader('Authorization', 'Bearer ' + token); }
    request.onloadend = function () {
      var answer = null;
      try { answer = JSON.parse(request.responseText); } catch (ignored) { answer = null; }
      done(answer === null ? 0 : request.status, answer);
    };
    request.send(body === null ? null : JSON.stringify(body));
  }

  // A refusal in words. What was sent and got no answer may have arrived.
  function refusal(status, body, sent) {
    var code = status === 0 ? (sent ? 'no_answer' : 'unreachable') : body.error;
    return texts[language].page['error_' + code] || text('error_other') + ' (' + status + ')';
  }
  function refused(status, body) { return status === 401 || status === 403 && body.error === 'revoked'; }

  function speak() {
    document.documentElement.lang = language;
    document.title = text('title');
    all('[data-text]').forEach(function (element) { put(element, text(element.getAttribute('data-text'))); });
    all('[data-language]').forEach(function (button) {
      button.className = button.getAttribute('data-language') === language ? 'on' : '';
    });
    if (form) { fill(); }
    if (accepted !== null) { number(); }
    if (tab === 'list' && token && form) { list(); }
  }

  function options(name, values, words) {
    var select = document.querySelector('[name="' + name + '"]'), before = select.value;
    put(select, '');
    values.forEach(function (value) { add(select, 'option', words(value)).value = value; });
    if (values.indexOf(before) >= 0) { select.value = before; }
  }

  // Everything of the form that depends on the gateway or on the language.
  function fill() {
    var words = texts[language], ticked = services(), kinds = [];
    options('to', form.to, function (value) { return text('to_' + value); });
    options('organization', [''].concat(form.organizations), function (value) { return value || text('choose'); });
    Object.keys(SELECTS).forEach(function (name) {
      options(name, SELECTS[name], function (value) { return value ? text(name + '_' + value) : text('choose'); });
    });
    form.services.forEach(function (service) {
      if (kinds.indexOf(service.type) < 0) { kinds.push(service.type); }
    });
    put($('services'), '');
    kinds.forEach(function (kind) {
      add($('services'), 'h3', words.types[kind] || kind);
      form.services.forEach(function (service) {
        if (service.type === kind) { offer(service.subtype, words.services, ticked); }
      });
    });
  }

  function offer(subtype, words, ticked) {
    var label = add($('services'), 'label'), box = add(label, 'input');
    label.className = 'tick';
    box.type = 'checkbox';
    box.value = subtype;
    box.checked = ticked.indexOf(subtype) >= 0;
    add(label, 'span', words[subtype] || subtype);
  }

  function services() {
    return all('#services input').filter(function (box) { return box.checked; })
      .map(function (box) { return box.value; });
  }

  function freshKey() {
    var bytes = new Uint8Array(12), out = 'page-', i;
    window.crypto.getRandomValues(bytes);
    for (i = 0; i < bytes.length; i += 1) { out += (256 + bytes[i]).toString(16).slice(1); }
    return out;
  }

  function event() {
    var out = { event_key: key, kind: 'referral', child: {}, consent: {}, case_worker: {} };
    all('#new [name]').forEach(function (field) {
      var path = field.name.split('.'), at = path.length > 1 ? out[path[0]] : out, value;
      value = field.type === 'checkbox' ? field.checked : field.value.trim() || null;
      at[path[path.length - 1]] = value;
    });
    out.services = services().map(function (subtype) { return { subtype: subtype }; });
    return out;
  }

  function clearErrors() {
    all('.field-error').forEach(function (line) { line.parentNode.removeChild(line); });
    all('.wrong').forEach(function (place) { place.classList.remove('wrong'); });
    put($('send-error'), '');
  }

  function pointOut(fields) {
    var first = null;
    fields.forEach(function (field) {
      var path = field.path, place = null, line;
      while (path && !place) {
        place = document.querySelector('[data-path="' + path + '"]');
        path = path.slice(0, path.lastIndexOf('/'));
      }
      if (!place || place.querySelector('.field-error')) { return; }
      place.classList.add('wrong');
      line = add(place, 'p', texts[language].reasons[field.reason] || field.reason);
      line.className = 'error field-error';
      first = first || place;
    });
    if (first) { first.scrollIntoView(); }
  }

  function send(submitted) {
    submitted.preventDefault();
    clearErrors();
    key = key || freshKey();
    $('send').disabled = true;
    put($('send'), text('sending'));
    ask('POST', '/v1/events', event(), function (status, body) {
      $('send').disabled = false;
      put($('send'), text('send'));
      if (status === 201 || status === 200) { taken(body, false); return; }
      if (status === 409) { takenEarlier(); return; }
      put($('send-error'), refusal(status, body, true));
      if (status === 422) { pointOut(body.fields || []); }
      if (refused(status, body)) { signOut(refusal(status, body)); }
    });
  }

  // An answer was lost and the form changed since: what was sent first is accepted, and a new key would make it two.
  function takenEarlier() {
    ask('GET', '/v1/events/' + key, null, function (status, body) {
      if (status === 200) { taken(body, true); } else { put($('send-error'), refusal(status, body, true)); }
    });
  }

  // Accepted means: on the gateway's disk.
  function taken(body, before) {
    var worker = {};
    accepted = body.seq;
    earlier = before;
    key = null;
    all('#new [name^="case_worker."]').forEach(function (field) { worker[field.name] = field.value; });
    $('new').reset();
    all('#services input').forEach(function (box) { box.checked = false; });
    all('#new [name^="case_worker."]').forEach(function (field) { field.value = worker[field.name]; });
    today();
    go('new');
    window.scrollTo(0, 0);
  }

  function number() {
    put($('number'), text('number') + ' ' + accepted);
    put($('accepted-earlier'), earlier ? text('accepted_earlier') : '');
  }

  function today() {
    if (form.today) { document.querySelector('[name="referred_on"]').value = form.today; }
  }

  function standing(entry) {
    return text('state_' + (entry.state === 'delivered' && entry.decision ? entry.decision : entry.state));
  }
  function pad(number) { return (number < 10 ? '0' : '') + number; }
  function when(stamp) {
    var date = new Date(stamp);
    return stamp ? date.getFullYear() + '-' + pad(date.getMonth() + 1) + '-' + pad(date.getDate()) + ' ' +
      pad(date.getHours()) + ':' + pad(date.getMinutes()) : '';
  }

  function list() {
    put($('list-error'), '');
    ask('GET', '/v1/events', null, function (status, body) {
      if (status !== 200) {
        put($('list-error'), refusal(status, body));
        if (refused(status, body)) { signOut(refusal(status, body)); }
        return;
      }
      put($('events'), '');
      body.events.forEach(function (entry) {
        var line = add($('events'), 'li');
        add(line, 'b', text('number') + ' ' + entry.seq + ' · ' + entry.organization + ' · ' + when(entry.created_at));
        add(line, 'span', standing(entry));
      });
      if (!body.events.length) { add($('events'), 'li', text('none_yet')); }
    });
  }

  function go(name) {
    tab = name;
    show('sign-in', false);
    show('tabs', true);
    show('new', name === 'new' && accepted === null);
    show('accepted', name === 'new' && accepted !== null);
    show('list', name === 'list');
    all('[data-tab]').forEach(function (button) {
      button.className = button.getAttribute('data-tab') === name ? 'on' : '';
    });
    if (accepted !== null) { number(); }
    if (name === 'list') { list(); }
  }

  function signIn() {
    ask('GET', '/v1/form', null, function (status, body) {
      if (status !== 200) {
        if (refused(status, body)) { signOut(refusal(status, body)); return; }
        show('sign-in', true);
        put($('sign-in-error'), refusal(status, body));
        return;
      }
      // A form half filled in when the token was refused is still there.
      var first = form === null;
      form = body;
      keep('token', token);
      $('token').value = '';
      put($('sign-in-error'), '');
      fill();
      if (first) { today(); }
      go(tab);
    });
  }

  function signOut(why) {
    keep('token', null);
    token = null;
    ['tabs', 'new', 'accepted', 'list'].forEach(function (id) { show(id, false); });
    show('sign-in', true);
    put($('sign-in-error'), why);
  }

  function listen() {
    all('[data-language]').forEach(function (button) {
      button.onclick = function () {
        language = button.getAttribute('data-language');
        keep('language', language);
        speak();
      };
    });
    all('[data-tab]').forEach(function (button) {
      button.onclick = function () { go(button.getAttribute('data-tab')); };
    });
    $('sign-in').onsubmit = function (submitted) {
      submitted.preventDefault();
      token = $('token').value.trim();
      if (token) { signIn(); }
    };
    $('sign-out').onclick = function () { signOut(''); form = null; key = null; accepted = null; $('new').reset(); put($('events'), ''); };
    $('new').onsubmit = send;
    $('another').onclick = function () { accepted = null; go('new'); };
    $('refresh').onclick = list;
  }

  ask('GET', '/texts.json', null, function (status, body) {
    texts = body;
    language = kept('language') || (/^km/.test(navigator.language) ? 'km' : 'en');
    token = kept('token');
    listen();
    speak();
    if (token) { signIn(); } else { show('sign-in', true); }
  });
}());
